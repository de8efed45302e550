# What programs that are compiled already rely on, by the library's debug information: functions with
# their parameters, and the structs of the public header. RENEW=ON writes that of LIBRARY to DUMP;
# else both are compared, and then once more after damage, since a check that overlooks things
# would say nothing. ./dev abi renews; CONTRIBUTING.md says when.
foreach(tool abidw abidiff)
  find_program(${tool} ${tool})
  if(NOT ${tool})
    message("\nskip: there is no ${tool} (Debian: abigail-tools)")
    return()
  endif()
endforeach()
if(NOT EXISTS "${DUMP}" AND NOT RENEW)
  message("\nskip: nothing was published for this processor: there is no ${DUMP}")
  return()
endif()

file(MAKE_DIRECTORY "${WORK}")
set(now "${WORK}/now.abi")
execute_process(COMMAND "${abidw}" --headers-dir "${SOURCE}/include" --drop-private-types
  --exported-interfaces-only --drop-undefined-syms --no-corpus-path --no-comp-dir-path --no-show-locs
  --no-elf-needed --type-id-style hash "${LIBRARY}" --out-file "${now}" COMMAND_ERROR_IS_FATAL ANY)
# Where it was built is nobody's business.
file(READ "${now}" text)
string(REGEX REPLACE " path='[^']*/((src|topology)/[^']*)'" " path='\\1'" text "${text}")
file(WRITE "${now}" "${text}")
foreach(part "function-decl name='numapool_submit_task'" "class-decl name='numapool_task' size-in-bits=")
  if(NOT text MATCHES "${part}")
    message(FATAL_ERROR "abidw finds no ${part} in ${LIBRARY}: was it built without -g?")
  endif()
endforeach()
if(RENEW)
  file(COPY_FILE "${now}" "${DUMP}")
  message(STATUS "written: ${DUMP}")
  return()
endif()

# Bits of its result: 4 something is different, 8 in a way that is known to break programs; 1, 2 failed.
function(compare out said published)
  execute_process(COMMAND "${abidiff}" ${ARGN} "${published}" "${now}"
    OUTPUT_VARIABLE text ERROR_VARIABLE errors RESULT_VARIABLE result)
  if(NOT result MATCHES "^(0|4|8|12)$")
    message(FATAL_ERROR "abidiff ended with ${result}: ${text}${errors}")
  endif()
  set(${out} ${result} PARENT_SCOPE)
  set(${said} "${text}" PARENT_SCOPE)
endfunction()

compare(result said "${DUMP}")
if(NOT result EQUAL 0)
  compare(result_old ignored "${DUMP}" --no-added-syms)
  if(result_old EQUAL 0)
    message("${said}")
    message(FATAL_ERROR "functions were added and nothing else: ./dev abi writes them down.")
  endif()
  message("${said}")
  message(FATAL_ERROR "programs that are compiled already may break by this. If it is meant, "
    "CONTRIBUTING.md says what has to change with it; then ./dev abi writes it down.")
endif()

# Damage to what was published: a function that the library has no more, a field that moved, a
# parameter of another type.
file(READ "${DUMP}" published)
function(notices what from to)
  string(REPLACE "${from}" "${to}" damaged "${published}")
  if(damaged STREQUAL published)
    message(FATAL_ERROR "${what}: nothing to damage, '${from}' is not in ${DUMP}")
  endif()
  file(WRITE "${WORK}/damaged.abi" "${damaged}")
  compare(result said "${WORK}/damaged.abi")
  if(result EQUAL 0)
    message(SEND_ERROR "not noticed: ${what}")
  endif()
endfunction()
notices("a function is gone" "numapool_drain'" "numapool_drained'")
string(REGEX MATCH "<data-member[^>]*>[^<]*<var-decl name='deadline_ns'" field "${published}")
string(REGEX REPLACE "layout-offset-in-bits='[0-9]+'" "layout-offset-in-bits='8'" moved "${field}")
notices("a field moved" "${field}" "${moved}")
string(REGEX MATCH "<function-decl name='numapool_set_budget'.*</function-decl>" function "${published}")
string(REGEX REPLACE "</function-decl>.*" "" function "${function}")
string(REGEX REPLACE "(<parameter type-id='[^']*'[^>]*/>[^<]*)(<parameter[^>]*/>)" "\\1" shorter "${function}")
notices("a parameter less" "${function}" "${shorter}")
