# The header, the version script and the library name the same functions, and the library shows
# nothing else. The archive may define more than that, but only under our prefixes: a static program
# must not find a `ring_push` of ours in its way.
function(require_equal what_left left what_right right)
  set(only_left ${left})
  set(only_right ${right})
  list(REMOVE_ITEM only_left ${right})
  list(REMOVE_ITEM only_right ${left})
  if(only_left OR only_right)
    message(SEND_ERROR "only in ${what_left}: '${only_left}'; only in ${what_right}: '${only_right}'")
  endif()
endfunction()

# Declarations are NUMAPOOL_API ... name( ...
file(READ "${HEADER}" text)
string(REGEX MATCHALL "\nNUMAPOOL_API [^(;]*numapool_[a-z0-9_]+\\(" declared "${text}")
list(TRANSFORM declared REPLACE ".*[ *\n]([a-z0-9_]+)\\($" "\\1")

file(READ "${MAP}" text)
string(REGEX MATCHALL "\n *numapool_[a-z0-9_]+" listed "${text}")
list(TRANSFORM listed STRIP)

execute_process(COMMAND "${NM}" -D --defined-only "${LIBRARY}" OUTPUT_VARIABLE lines
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${lines}")
set(shown)
foreach(line ${lines})
  if(line MATCHES " T (numapool_[a-z0-9_]+)@@NUMAPOOL_[0-9]+\\.[0-9]+$")
    list(APPEND shown ${CMAKE_MATCH_1})
  elseif(NOT line MATCHES " A NUMAPOOL_[0-9]+\\.[0-9]+(@@NUMAPOOL_[0-9]+\\.[0-9]+)?$")
    message(SEND_ERROR "the library shows what is no function of ours with a version: ${line}")
  endif()
endforeach()

foreach(list declared listed shown)
  list(LENGTH ${list} count)
  set(unique ${${list}})
  list(REMOVE_DUPLICATES unique)
  list(LENGTH unique count_unique)
  if(count LESS 10 OR NOT count EQUAL count_unique)
    message(SEND_ERROR "${list}: ${count} names, ${count_unique} of them different")
  endif()
endforeach()
require_equal("the header" "${declared}" "the version script" "${listed}")
require_equal("the header" "${declared}" "the library" "${shown}")

execute_process(COMMAND "${NM}" -g --defined-only "${ARCHIVE}" OUTPUT_VARIABLE lines
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${lines}")
list(FILTER lines INCLUDE REGEX "^[0-9a-f]+ [A-Z] ")
list(FILTER lines EXCLUDE REGEX " (numapool|npi)_[a-zA-Z0-9_]+$")
list(FILTER lines EXCLUDE REGEX "DW\\.ref\\.|_\\.stapsdt\\.base|__(odr_)?asan|\\.get_pc_thunk")
if(lines)
  message(SEND_ERROR "the archive defines names outside our prefixes: ${lines}")
endif()
