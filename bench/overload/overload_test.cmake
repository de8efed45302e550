# Runs numapool-overload at a small scale and holds its JSON against the identities and the limits
# that must hold on any machine, however slow or busy. Nothing here depends on how fast it is.
#
#   cmake -D PROGRAM=.../numapool-overload -D FOLDER=... -P overload_test.cmake

set(JSON_FILE "${FOLDER}/overload_test.json")
function(check what left operator right)
  if(NOT "${left}" ${operator} "${right}")
    message(SEND_ERROR "${name}: ${what} does not hold: '${left}' ${operator} '${right}'")
  endif()
endfunction()

# Runs the program; sets `json`, `status` and `text`.
macro(run)
  file(REMOVE "${JSON_FILE}")
  execute_process(COMMAND "${PROGRAM}" --json "${JSON_FILE}" ${ARGN}
    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE errors)
  message(STATUS "numapool-overload ${ARGN}: exit status ${status}")
  if(EXISTS "${JSON_FILE}")
    file(READ "${JSON_FILE}" json)
  else()
    message(FATAL_ERROR "no JSON was written\n${text}\n${errors}")
  endif()
  string(FIND "${errors}" "\r" progress)
  if(NOT progress EQUAL -1)
    message(SEND_ERROR "progress lines were written though stderr is no terminal")
  endif()
endmacro()

# Reads a member of contender `index`; a missing one is an error.
macro(get variable)
  string(JSON ${variable} GET "${json}" contenders ${index} ${ARGN})
endmacro()

# What holds of every contender, whatever it did.
macro(check_accounts)
  foreach(member name offered completed refused dropped unaccounted completed_per_s in_task_ms
          e2e_p50_ms e2e_p99_ms rss_peak_bytes threads_peak cpu_s refuse_ns completed_twice
          refused_for_memory_in_task dropped_never_handed_over dropped_after_acceptance note)
    get(${member} ${member})
  endforeach()
  math(EXPR sum "${completed} + ${refused} + ${dropped} + ${unaccounted}")
  math(EXPR dropped_parts "${dropped_never_handed_over} + ${dropped_after_acceptance}")
  check("offered = completed + refused + dropped + unaccounted" ${offered} EQUAL ${sum})
  check("every request is accounted for" ${unaccounted} EQUAL 0)
  check("no request ran twice" ${completed_twice} EQUAL 0)
  check("dropped is the sum of its parts" ${dropped} EQUAL ${dropped_parts})
  check("what was refused in the task was refused" ${refused_for_memory_in_task} LESS_EQUAL ${refused})
  check("something was completed" ${completed} GREATER 0)
  check("a request takes as long as its sleep" ${in_task_ms} GREATER_EQUAL 20)
  check("the intended time is before the start" ${e2e_p99_ms} GREATER_EQUAL ${e2e_p50_ms})
  check("the process has memory" ${rss_peak_bytes} GREATER 0)
  check("the process has threads" ${threads_peak} GREATER 1)
  check("the process used CPU" ${cpu_s} GREATER 0)
endmacro()

macro(check_pool)
  get(agrees pool agrees)
  check("the pool counted what the generators counted" "${agrees}" STREQUAL "ON")
  string(JSON shard_count LENGTH "${json}" contenders ${index} shards)
  set(ran 0)
  set(sent 0)
  set(came 0)
  set(taken_out 0)
  set(taken_in 0)
  math(EXPR last "${shard_count} - 1")
  foreach(shard RANGE ${last})
    foreach(member run forwarded_out forwarded_in stolen_out stolen_in)
      get(shard_${member} shards ${shard} stats ${member})
    endforeach()
    math(EXPR ran "${ran} + ${shard_run}")
    math(EXPR sent "${sent} + ${shard_forwarded_out}")
    math(EXPR came "${came} + ${shard_forwarded_in}")
    math(EXPR taken_out "${taken_out} + ${shard_stolen_out}")
    math(EXPR taken_in "${taken_in} + ${shard_stolen_in}")
  endforeach()
  math(EXPR expected "${completed} + ${refused_for_memory_in_task}")
  check("the shards ran what was run" ${ran} EQUAL ${expected})
  check("what was forwarded arrived" ${sent} EQUAL ${came})
  check("what was stolen was stolen from somebody" ${taken_out} EQUAL ${taken_in})
endmacro()

# 1. All three. 40000 requests are offered; 100 workers that sleep 20 ms each cannot complete more than
# 5000 a second, so most must be refused, unless their generator came too late to offer them.
run(--seconds 2 --rate 20000 --service-ms 20 --touch-kb 64 --workers-max 100 --queue-tasks 500
    --memory-mb 100 --naive-limit-mb 80 --bound-seconds 0.2)
check("the exit status is 0" "${status}" STREQUAL "0")
string(JSON count LENGTH "${json}" contenders)
check("there are three contenders" ${count} EQUAL 3)
string(JSON model GET "${json}" machine cpu_model)
string(JSON cost GET "${json}" bound bare_request_us)
check("a bare request costs CPU" ${cost} GREATER 0)
foreach(index RANGE 2)
  check_accounts()
  check("the whole schedule was offered" ${offered} EQUAL 40000)
  if(name STREQUAL "naive")
    continue()
  endif()
  get(elapsed_s elapsed_s)
  # In whole milliseconds, since math() knows no fractions; one more sleep for what ran at the end.
  string(REGEX REPLACE "\\..*" "" whole_s "${elapsed_s}")
  math(EXPR most "(${whole_s} + 1) * 100 * 50 + 100")
  check("100 workers complete no more than 100 workers can" ${completed} LESS_EQUAL ${most})
  math(EXPR turned_away "${refused} + ${dropped}")
  math(EXPR least "40000 - ${most}")
  check("the rest was refused or never handed over" ${turned_away} GREATER_EQUAL ${least})
  if(name STREQUAL "numapool")
    check_pool()
  endif()
endforeach()

# 2. A limit no thread per request can keep: it must stop, say so, and account for everything.
run(--seconds 1 --rate 5000 --contender naive --touch-kb 1000 --naive-limit-mb 30 --bound-seconds 0)
set(index 0)
check("stopping at the limit is no failure" "${status}" STREQUAL "0")
check_accounts()
get(stopped stopped)
check("naive stopped" "${stopped}" STREQUAL "ON")
check("naive says why" "${note}" MATCHES "naive-limit-mb")
check("what came after was not handed over" ${dropped_never_handed_over} GREATER 0)

# 3. Four shards on any machine, all load on the first: it cannot keep it to itself.
run(--seconds 2 --rate 20000 --service-ms 20 --touch-kb 16 --workers-max 64 --queue-tasks 400
    --contender numapool --machine "pack:4 [numa] core:2 pu:1" --skew 1 --bound-seconds 0)
check("the exit status is 0" "${status}" STREQUAL "0")
check_accounts()
check_pool()
check("the emulated machine has four shards" ${shard_count} EQUAL 4)
get(nodes nodes_offered_on)
check("... on four nodes" ${nodes} EQUAL 4)
if(refused GREATER 0)
  # Nothing is refused before every other shard has been tried.
  math(EXPR elsewhere "${sent} + ${taken_out}")
  check("the other shards were used before a refusal" ${elsewhere} GREATER 0)
endif()

# 4. Nothing reserved, far too little memory: some requests get none in the task, and count as refused.
run(--seconds 1 --rate 5000 --touch-kb 500 --memory-mb 10 --contender numapool --plain
    --bound-seconds 0)
check("the exit status is 0" "${status}" STREQUAL "0")
check_accounts()
check_pool()

# 5. Mistakes end with the usage status and measure nothing.
foreach(mistake "--seconds=0" "--rate=-1" "--skew=2" "--contender=nobody" "--rate=1x" "stray"
        "--plain,--machine=pack:2 [numa] pu:1")
  string(REPLACE "," ";" mistake "${mistake}")
  execute_process(COMMAND "${PROGRAM}" ${mistake} RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
  set(name "${mistake}")
  check("a mistake is status 64" "${status}" STREQUAL "64")
endforeach()
