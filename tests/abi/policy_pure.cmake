# Reads the undefined symbols of the policy objects and fails on anything a pure function has no use for. Linking the
# simulator without our other layers is no proof alone: libc would still lend a clock, a lock or memory.
# -D NM=… -D OBJECTS=one;two;…
if(NOT OBJECTS)
  message(FATAL_ERROR "no objects to look at")
endif()
set(calls 0)
foreach(object ${OBJECTS})
  execute_process(COMMAND "${NM}" -u "${object}" OUTPUT_VARIABLE text RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} cannot read ${object}")
  endif()
  string(REGEX MATCHALL "[^\n]+" lines "${text}")
  foreach(line ${lines})
    string(REGEX REPLACE "^.* " "" symbol "${line}")
    if(symbol MATCHES "^_*(memcpy|memset|memmove|memcmp)(_chk)?$"
        OR symbol MATCHES "^__stack_chk_(fail|guard)$"
        OR symbol MATCHES "^_?_?(_asan|_ubsan|_tsan|_msan|_sanitizer|_gcov|llvm_gc|llvm_prof|_llvm_prof)"
        OR symbol MATCHES "^_GLOBAL_OFFSET_TABLE_$"
        OR symbol MATCHES "^__[a-z]+[sdt]i[0-9]?$" # compiler's own arithmetic, as __udivti3
        OR symbol MATCHES "^npi_(admit|balance|forward|idle|policy|route|scale)_")
      math(EXPR calls "${calls} + 1")
      continue()
    endif()
    list(APPEND foreign "${object}: ${symbol}")
  endforeach()
endforeach()
if(foreign)
  list(JOIN foreign "\n  " foreign)
  message(FATAL_ERROR "the policy asks for more than pure functions may:\n  ${foreign}")
endif()
list(LENGTH OBJECTS count)
message(STATUS "${count} objects, ${calls} undefined symbols, all of them harmless")
