# numapool.hpp compiles under the strictest warnings, with and without exceptions and RTTI, in two files
# of one program, and what comes out works.
find_program(FOUND "${COMPILER}" NO_CACHE)
if(NOT FOUND)
  message("skip: ${COMPILER} is not installed")
  return()
endif()

set(strict -std=${STANDARD} -pedantic-errors -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef
  -Wold-style-cast -Wzero-as-null-pointer-constant -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  "-I${INCLUDE}" ${FLAGS})
set(stem "${WORK}/hpp_${NAME}")
# Each of its files alone, and first; once for each compiler.
file(GLOB parts RELATIVE "${INCLUDE}" "${INCLUDE}/numapool/*.hpp" "${INCLUDE}/numapool/cpp/*.hpp")
list(LENGTH parts count)
if(count LESS 5)
  message(FATAL_ERROR "only these headers were found: ${parts}")
endif()
if(FLAGS OR NOT STANDARD STREQUAL "c++17")
  set(parts)
endif()
foreach(part ${parts})
  file(WRITE "${stem}_part.cpp" "#include <${part}>\n#include <${part}>\n")
  execute_process(COMMAND "${FOUND}" ${strict} -fsyntax-only "${stem}_part.cpp" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
foreach(half 1 2)
  execute_process(COMMAND "${FOUND}" ${strict} -DHALF=${half} -c -o "${stem}_${half}.o" "${SOURCE}"
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()

# A sanitized library has to be linked by its own compiler with its own flags.
if(NOT SANITIZE)
  get_filename_component(directory "${LIBRARY}" DIRECTORY)
  execute_process(COMMAND "${FOUND}" ${FLAGS} -o "${stem}" "${stem}_1.o" "${stem}_2.o" "${LIBRARY}" -pthread
    "-Wl,-rpath,${directory}" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND "${stem}" COMMAND_ERROR_IS_FATAL ANY)
endif()
