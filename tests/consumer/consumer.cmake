# One step of a life with the installed package; called by ctest, see CMakeLists.txt beside this.
#   install      installs the build, then moves that: nothing may remember the first place
#   cmake        configures, builds and runs app/ by find_package
#   pkgconfig    compiles app/main.c by the flags of pkg-config
#   cxx          app/main.cpp likewise
#   subdirectory the sources inside app/, as FetchContent does it
#   refuse       asks for a version that this one cannot stand in for
set(prefix "${WORK}/moved here")
set(program "${WORK}/${STEP}_${KIND}/app")

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Runs the program, and reads from the file itself which libraries the linker wrote down.
function(check_program)
  execute_process(COMMAND "${CMAKE_COMMAND}" -E env "LD_LIBRARY_PATH=${prefix}/${LIBDIR}" "${program}"
    OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
  if(NOT said STREQUAL "numapool ${VERSION} ran the task\n")
    message(FATAL_ERROR "the program said '${said}'")
  endif()
  execute_process(COMMAND "${READELF}" -dW "${program}" OUTPUT_VARIABLE dynamic
    COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "\\(NEEDED\\)[^\n]*" needed "${dynamic}")
  set(linked static)
  if(needed MATCHES "libnumapool\\.so")
    set(linked shared)
  endif()
  if(NOT linked STREQUAL EXPECT)
    message(FATAL_ERROR "linked ${linked}, wanted ${EXPECT}: ${needed}")
  endif()
  # What numapool uses inside is not the business of a program of the shared library.
  if(linked STREQUAL "shared" AND needed MATCHES "hwloc|libnuma\\.|libconfig")
    message(FATAL_ERROR "private libraries leak into the program: ${needed}")
  endif()
endfunction()

if(STEP STREQUAL "install")
  file(REMOVE_RECURSE "${WORK}")
  run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${WORK}/first")
  file(RENAME "${WORK}/first" "${prefix}")
  file(GLOB_RECURSE texts "${prefix}/*.cmake" "${prefix}/*.pc")
  foreach(text ${texts})
    file(READ "${text}" content)
    foreach(place "${WORK}" "${BUILD}")
      string(FIND "${content}" "${place}" at)
      if(NOT at EQUAL -1)
        message(FATAL_ERROR "${text} names ${place}, so the package cannot be moved")
      endif()
    endforeach()
  endforeach()
  # Where gdb looks for it: by the path that the library had when it was installed.
  file(GLOB_RECURSE script "${prefix}/*/gdb/auto-load/*-gdb.py")
  if(NOT script MATCHES "/auto-load${WORK}/first/${LIBDIR}/libnumapool.so.${VERSION}-gdb.py$")
    message(FATAL_ERROR "the commands of gdb are at '${script}'")
  endif()
  list(LENGTH texts count)
  if(count LESS 6)
    message(FATAL_ERROR "only these were installed: ${texts}")
  endif()
elseif(STEP STREQUAL "cmake" OR STEP STREQUAL "subdirectory")
  get_filename_component(build "${program}" DIRECTORY)
  run("${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${APP}" -B "${build}" -D "CMAKE_PREFIX_PATH=${prefix}"
    -D "CMAKE_C_COMPILER=${CC}" -D KIND=${KIND} -D VERSION=${VERSION}
    -D "SOURCE=${SOURCE}")
  run("${CMAKE_COMMAND}" --build "${build}")
  check_program()
elseif(STEP STREQUAL "pkgconfig" OR STEP STREQUAL "cxx")
  set(compile "${CC}" "${APP}/main.c")
  if(STEP STREQUAL "cxx")
    find_program(CXX NAMES c++ g++ clang++ NO_CACHE)
    if(NOT CXX)
      message("skip: there is no C++ compiler")
      return()
    endif()
    set(compile "${CXX}" -std=c++17 "${APP}/main.cpp")
  endif()
  set(name numapool)
  if(KIND STREQUAL "static")
    set(name numapool-static)
  endif()
  set(ENV{PKG_CONFIG_PATH} "${prefix}/${LIBDIR}/pkgconfig")
  execute_process(COMMAND "${PKG_CONFIG}" --cflags --libs "${name} = ${VERSION}"
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  get_filename_component(directory "${program}" DIRECTORY)
  file(MAKE_DIRECTORY "${directory}")
  run(${compile} -o "${program}" ${flags})
  check_program()
elseif(STEP STREQUAL "refuse")
  execute_process(COMMAND "${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${APP}" -B "${WORK}/refuse"
    -D "CMAKE_PREFIX_PATH=${prefix}" -D "CMAKE_C_COMPILER=${CC}" -D KIND=numapool -D VERSION=99.0
    RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE why)
  if(result EQUAL 0 OR NOT why MATCHES "version: ${VERSION}")
    message(FATAL_ERROR "version 99.0 was found (${result}), or refused for another reason: ${why}")
  endif()
else()
  message(FATAL_ERROR "no step '${STEP}'")
endif()
