# The header compiles alone, and first, under the strictest warnings; as C++ it also links, which it
# would not without its extern "C".
find_program(FOUND "${COMPILER}" NO_CACHE)
if(NOT FOUND)
  message("skip: ${COMPILER} is not installed")
  return()
endif()

set(strict -std=${STANDARD} -pedantic-errors -Wall -Wextra -Wconversion -Wundef -Werror
  "-I${INCLUDE}")
if(STANDARD MATCHES "\\+\\+")
  set(language c++)
  list(APPEND strict -Wold-style-cast -Wzero-as-null-pointer-constant)
else()
  set(language c)
  list(APPEND strict -Wshadow -Wstrict-prototypes -Wc++-compat)
endif()

set(stem "${WORK}/header_${STANDARD}_${COMPILER}")
file(WRITE "${stem}.${language}" [[
#include <numapool/stats_page.h>
#include <numapool/stats_page.h>
#include <numapool/numapool.h>

static void run(void *arg)
{
    (void)arg;
}

/* Every type is complete or usable as the header says, and a task may be written field by field. */
int main(void)
{
    struct numapool_task task = {0};
    struct numapool_stats stats = {0};
    struct numapool_shard_stats shard = {0};
    struct numapool_config config = {0};
    struct numapool_error error = {{0}, 0, 0};
    task.run = run;
    stats.struct_size = sizeof(stats);
    shard.struct_size = sizeof(shard);
    numapool_config_init(&config);
    numapool_config_fini(&config);
    return numapool_version()[0] == '0' + NUMAPOOL_VERSION_MAJOR && error.count == 0 &&
                   task.run == run && shard.node == 0 && numapool_current_node() == -1
               ? 0
               : 1;
}
]])
# {0} for a struct that begins with a function pointer is the empty initialiser in C++.
if(language STREQUAL "c++")
  file(READ "${stem}.c++" text)
  string(REPLACE "= {0}" "= {}" text "${text}")
  string(REPLACE "{{0}, 0, 0}" "{}" text "${text}")
  file(WRITE "${stem}.cpp" "${text}")
  set(source "${stem}.cpp")
else()
  set(source "${stem}.c")
endif()
execute_process(COMMAND "${FOUND}" ${strict} -c -o "${stem}.o" "${source}" COMMAND_ERROR_IS_FATAL ANY)

# A sanitized library has to be linked by its own compiler with its own flags.
if(NOT SANITIZE)
  get_filename_component(directory "${LIBRARY}" DIRECTORY)
  execute_process(COMMAND "${FOUND}" -o "${stem}" "${stem}.o" "${LIBRARY}" "-Wl,-rpath,${directory}"
    COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND "${stem}" COMMAND_ERROR_IS_FATAL ANY)
endif()
