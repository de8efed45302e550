/*
 * One shard's sleepers, permits, growth and end, after queue/gate.[ch], flow/shard.c, flow/worker.c,
 * flow/control.c and api/end.c. What is modelled and what is not, and which question is asked of which
 * parts, stands in README.md.
 *
 * A step of this model is one access to a shared word. Several are joined only where all of them are to
 * words that nobody else reads or writes meanwhile. Names are those of the sources.
 *
 * Parts (spin -D): GROW   threads are started by control and end when idle or dismissed
 *                  DISMISS with GROW: another shard calls for a thread, again and again
 *                  DIAL   the limit changes, again and again, between 1 and NW
 *                  CLOSE  the pool is drained or not, then destroyed; NO_DRAIN: not
 *                  ENDLESS one task never returns
 *                  BLOCK  tasks wait inside, and lend their permit
 *                  TICK   a task returns only after control was awake while it ran
 * BUG_...: must fail. Only one at a time.
 */
#ifndef NW
#define NW 3 /* worker slots */
#endif
#ifndef NP
#define NP 2 /* producers; the first submits TASKS tasks, the second one */
#endif
#ifndef TASKS
#define TASKS 1
#endif
#ifndef CHANGES
#define CHANGES 2 /* of the limit */
#endif
#ifndef LANES
#define LANES 1
#endif
#ifndef LIMIT
#define LIMIT 2
#endif
#ifndef BLOCKED
#define BLOCKED (NW - LIMIT) /* tasks that may wait at once */
#endif
#define KEPT 1 /* threads that do not end for idleness */
#define NOBODY 255

#define FREE 0
#define AWAKE 1
#define ASLEEP 2
#define WOKEN 3
#define LEFT 4
#define DISMISSED 5

#define OPEN 0
#define DRAINING 1
#define CLOSING 2

/* gate: the fields of `permits` change together in one atomic step */
byte holders, searching, limit = LIMIT; /* holders: `active`, a keyword here */
byte word[NW];
bit in_futex[NW]; /* its thread waits in the kernel */
byte stack[NW], depth;

/* rings: a lane is a claim and the tasks published in it */
bit claim[LANES];
byte queued[LANES];

byte phase = OPEN;
bit told; /* `drained` has changed since drain read it */
byte open_tasks; /* accepted and not ended */
byte running;

byte threads, pool_threads, threads_ended, starts_wanted;
bit threads_wanted, control_word, control_idle, control_asleep, stop_control, control_gone;
bit started[NW], alive[NW], joinable[NW];
byte blocked;

byte calls; /* submits that have not returned */
bit endless, gone, quiet_pool, no_more;

#define want_wake (searching == 0 && holders < limit)

/* ------------------------------------------------------------------------------------ gate */

inline leave_searching()
{
    d_step {
        assert(holders > 0 && searching > 0);
        holders--;
        searching--
    }
}

inline rouse(whom)
{
#ifndef BUG_NO_ROUSE
    in_futex[whom] = 0
#else
    skip
#endif
}

/* Sets s. */
inline pop(state)
{
    do
    :: atomic { depth == 0 -> s = NOBODY; break }
    :: d_step { depth > 0 -> depth--; s = stack[depth]; stack[depth] = 0 };
        if
        :: d_step { word[s] == ASLEEP -> word[s] = state }; break
        :: d_step { else -> assert(word[s] == LEFT); word[s] = FREE; s = 0 }
        fi
    od
}

/* npi_shard_quiet. Sets yes. */
inline quiet()
{
    if
    :: claim[0] -> yes = 0
    :: else ->
#if LANES == 1
        yes = (queued[0] == 0)
#else
        if
        :: queued[0] != 0 -> yes = 0
        :: else ->
            if
            :: claim[1] -> yes = 0
            :: else -> yes = (queued[1] == 0)
            fi
        fi
#endif
    fi
}

inline kick()
{
    d_step { control_word = 1; control_asleep = 0 }
}

/* npi_shard_count_thread. Sets yes. */
inline count_thread()
{
    d_step {
        if
        :: pool_threads >= NW -> threads_wanted = 1; yes = 0
        :: else -> pool_threads++; threads++; yes = 1; assert(threads <= NW)
        fi
    }
}

inline wake(self)
{
    do
#ifdef BUG_WAKE_WITHOUT_PERMIT
    :: true ->
#else
    :: d_step { want_wake -> holders++; searching++ };
#endif
        pop(WOKEN);
        if
        :: s != NOBODY ->
            if
            :: s != self -> rouse(s)
            :: else
            fi;
            break
        :: else ->
#ifdef GROW
            count_thread();
            if
            :: yes -> starts_wanted++; kick(); break
            :: else
            fi;
#endif
            leave_searching();
#ifdef BUG_LEAVE_WITHOUT_LOOK
            break
#else
            if
            :: depth == 0 -> break
            :: else ->
                quiet();
                if
                :: yes -> break
                :: else
                fi
            fi
#endif
        fi
#ifndef BUG_WAKE_WITHOUT_PERMIT
    :: else -> break
#endif
    od;
    atomic { s = 0; yes = 0 }
}

inline look(self)
{
    quiet();
    if
    :: !yes -> wake(self)
    :: else -> yes = 0
    fi
}

/* ------------------------------------------------------------------------------- producers */

/* With STORE_BUFFER the stores of publish and unclaim may become visible after later loads of the same
   thread; a read-modify-write empties the buffer. */
inline store_one()
{
    d_step {
        if
        :: pending == 2 ->
            assert(!quiet_pool && !gone);
            queued[me % LANES]++;
            open_tasks++
        :: else -> claim[me % LANES] = 0
        fi;
        pending--
    }
}

inline store_all()
{
    do
    :: pending != 0 -> store_one()
    :: else -> break
    od
}

inline perhaps_store()
{
#ifdef STORE_BUFFER
    do
    :: pending != 0 -> store_one()
    :: break
    od
#else
    store_all()
#endif
}

proctype producer(byte me)
{
    byte s, pending, tasks = (me == 0 -> TASKS : 1);
    bit yes, wants;
    do
    :: tasks == 0 || no_more -> break
    :: atomic { tasks != 0 && !no_more -> tasks--; calls++ };
#ifdef BUG_LOOK_BEFORE_CLAIM
        wants = want_wake;
#endif
        atomic { !claim[me % LANES] -> claim[me % LANES] = 1 };
#ifdef CLOSE
        if
        :: phase != OPEN -> atomic { claim[me % LANES] = 0; calls-- }; break
        :: else
        fi;
#endif
        pending = 2;
        perhaps_store();
        /* npi_shard_notify */
#ifndef BUG_LOOK_BEFORE_CLAIM
        wants = want_wake;
#endif
        if
        :: wants ->
            wants = 0;
            perhaps_store();
            if
            :: want_wake -> store_all(); wake(NOBODY) /* the compare-and-swap of reserve */
            :: else
            fi
        :: else
        fi;
        store_all();
        calls--
    od
}

/* --------------------------------------------------------------------------------- workers */

inline take()
{
    d_step {
        if
        :: queued[0] != 0 -> queued[0]--; got = 1
#if LANES > 1
        :: queued[1] != 0 -> queued[1]--; got = 1
#endif
        :: else -> got = 0
        fi;
        running = running + got;
#if !defined(DIAL) && !defined(BLOCK) && !defined(CLOSE)
        assert(running <= limit)
#endif
    }
}

/* npi_shard_uncount_thread, then npi_gate_quit. Sets yes. */
inline quit(keep)
{
    d_step {
        if
        :: threads > keep -> threads--; yes = 1
        :: else -> yes = 0
        fi
    };
    if
#ifdef BUG_QUIT_BY_COUNT
    :: !yes -> skip
#else
    :: !yes && keep != 0 -> skip
#endif
#ifdef BUG_QUIT_BY_STORE
    :: else -> word[me] = LEFT; yes = 1
#else
    :: else ->
        if
        :: d_step { word[me] == ASLEEP -> word[me] = LEFT; yes = 1 }
        :: else ->
            d_step {
                threads = threads + yes;
                yes = 0
            }
        fi
#endif
    fi
}

inline tell_drain()
{
#ifdef CLOSE
    if
#ifndef BUG_DRAIN_NOT_TOLD
    :: phase != OPEN -> told = 1
#endif
    :: else
    fi
#else
    skip
#endif
}

proctype worker(byte me)
{
    byte s;
    bit yes, got, is_searching, holds, again_soon, dated, kept;

end_slot:
    atomic { started[me] -> started[me] = 0; is_searching = 1 };
#ifndef GROW
    is_searching = 0;
    goto sleep; /* all sleep at the beginning, and nobody is started later */
#endif

run_loop:
    if
    :: is_searching -> goto search
    :: else
    fi;
    /* obey_limit */
    if
    :: d_step { holders > limit -> assert(holders > 0); holders--; holds = 0 }; goto park
    :: else
    fi;
    take();
    if
    :: got != 0 -> goto run_task
    :: else
    fi;
    d_step { is_searching = 1; searching++; assert(searching <= holders) };

search:
    take();
    if
    :: got == 0 -> d_step { holds = 1 }; goto park
    :: else
    fi;
    d_step { is_searching = 0; assert(searching > 0); searching--; yes = want_wake };
#ifdef BUG_NO_CHAIN
    yes = 0;
#endif
    if
    :: yes -> look(NOBODY)
    :: else
    fi;

run_task:
#ifdef ENDLESS
    if
    :: d_step { !endless -> endless = 1; open_tasks-- };
end_endless:
        false
    :: true
    fi;
#endif
#ifdef BLOCK
    if
    :: d_step { blocked < BLOCKED -> blocked++ };
        d_step { assert(holders > 0); holders-- };
#ifndef BUG_BLOCK_WITHOUT_LOOK
        look(NOBODY);
#endif
        open_tasks == blocked; /* it waits for all that do not wait */
        holders++;
        blocked--
    :: true
    fi;
#endif
#ifdef TICK
    !control_asleep;
#endif
    atomic {
        assert(open_tasks > 0);
        open_tasks--;
        running--;
        got = 0
    };
    goto run_loop;

park:
#ifdef BUG_ANNOUNCE_LATE
    got = (claim[0] || queued[0] != 0);
#endif
    atomic { word[me] = ASLEEP; stack[depth] = me; depth++ };
    if
    :: holds -> leave_searching()
    :: else
    fi;
    is_searching = 0;
    tell_drain();
    d_step { kept = 0; dated = 0; holds = 0 };

asleep:
#ifdef CLOSE
    if
    :: phase == CLOSING ->
        quit(0);
        if
        :: yes -> yes = 0; goto ends
        :: else
        fi
    :: else
    fi;
#endif
    /* the second half of @sleep-announced */
#ifdef BUG_ANNOUNCE_LATE
    if
    :: got != 0 -> got = 0; wake(me)
    :: else
    fi;
#elif defined(BUG_NO_RECHECK)
    skip;
#else
    again_soon = claim[0];
#if LANES > 1
    again_soon = again_soon || claim[1];
#endif
#ifdef BUG_CLAIM_NOT_WAITED_FOR
    again_soon = 0;
#endif
    if
    :: queued[0] != 0 -> wake(me)
    :: else
#if LANES > 1
        -> if
        :: queued[1] != 0 -> wake(me)
        :: else
        fi
#endif
    fi;
#endif
    yes = 0;
#ifdef GROW
    if
    :: !kept && threads > KEPT -> dated = 1
    :: else
    fi;
#endif

sleep:
    if
    :: d_step { word[me] == ASLEEP -> in_futex[me] = 1 }
    :: else -> goto popped
    fi;
end_sleep:
    if
    :: in_futex[me] == 0 -> goto sleep
    :: d_step { again_soon -> in_futex[me] = 0 };
        if
        :: word[me] != ASLEEP -> goto popped
        :: else -> again_soon = 0; goto asleep
        fi
#ifdef GROW
    :: d_step { dated -> in_futex[me] = 0 };
        if
        :: word[me] != ASLEEP -> goto popped
        :: else
        fi;
        quit(KEPT);
        if
        :: yes -> goto ends
        :: else -> d_step { kept = 1; dated = 0 }; goto asleep
        fi
#endif
    fi;

popped:
    atomic { again_soon = 0; dated = 0; kept = 0; yes = 0 };
    if
    :: word[me] == DISMISSED -> word[me] = FREE; goto ends
    :: else -> assert(word[me] == WOKEN)
    fi;
    is_searching = 1;
#ifdef GROW
    if
    :: control_idle -> kick()
    :: else
    fi;
#endif
    goto run_loop;

ends:
    atomic { again_soon = 0; dated = 0; kept = 0; yes = 0; is_searching = 0 };
    threads_ended++;
#ifdef GROW
    kick();
#endif
    alive[me] = 0;
    goto end_slot
}

/* --------------------------------------------------------------------------------- control */

#ifdef GROW
inline reap_slot(i)
{
    d_step {
        if
        :: joinable[i] && (word[i] == LEFT || word[i] == FREE) && !alive[i] ->
            joinable[i] = 0;
            assert(threads_ended > 0 && pool_threads > 0);
            threads_ended--;
            pool_threads--
        :: else
        fi
    }
}
#endif

#ifdef GROW
proctype control()
{
    byte s;
    bit yes, retry, ticked;
end:
    do
    :: stop_control -> break
    :: else ->
        if
        :: threads_ended != 0 -> reap_slot(0); reap_slot(1);
#if NW > 2
            reap_slot(2);
#endif
        :: else
        fi;
        if
        :: threads_wanted -> look(NOBODY)
        :: else
        fi;
        /* start_wanted */
        do
        :: starts_wanted != 0 ->
            starts_wanted--;
            /* provide */
            pop(WOKEN);
            if
            :: s != NOBODY -> d_step { threads--; pool_threads-- }; rouse(s)
            :: else ->
                /* free_slot: a slot whose thread has not quite ended is passed over */
                s = 0;
                do
                :: s == NW -> break
                :: s < NW && word[s] == FREE ->
                    reap_slot(s);
                    if
                    :: !joinable[s] -> break
                    :: else -> s++
                    fi
                :: s < NW && word[s] != FREE -> s++
                od;
                if
                :: s < NW -> d_step { word[s] = AWAKE; joinable[s] = 1; alive[s] = 1; started[s] = 1 }
                :: else ->
                    d_step { threads--; pool_threads-- };
                    leave_searching();
                    retry = 1
                fi
            fi;
            s = 0
        :: else -> break
        od;
        /* The tick: a thread that could not be started is tried again, threads are called for. */
        if
        :: ticked ->
            ticked = 0;
            if
            :: threads_wanted || retry -> d_step { threads_wanted = 0; retry = 0 }; look(NOBODY)
            :: else
            fi
        :: else
        fi;
        /* rest: without a date when there is nothing to do */
        if
        :: !retry && threads_ended == 0 && holders == 0 && starts_wanted == 0 ->
            quiet();
            if
            :: yes ->
                control_idle = 1;
#ifndef BUG_CONTROL_IDLE_WITHOUT_LOOK
                if
                :: holders == 0 && starts_wanted == 0 -> quiet()
                :: else -> yes = 0
                fi;
#endif
                if
                :: yes ->
                    if
                    :: d_step { control_word == 0 && !stop_control -> control_asleep = 1 }
                    :: else
                    fi;
end_idle:
                    !control_asleep
                :: else
                fi;
                d_step { yes = 0; control_word = 0 };
                control_idle = 0;
                ticked = 1
            :: else -> ticked = 1; control_word = 0
            fi
        :: else -> ticked = 1; control_word = 0
        fi
    od;
    control_gone = 1
}

/* Another shard's control needs a thread and dismisses one of ours. */
proctype other_shard()
{
    byte s;
end:
    do
    :: threads > KEPT && phase != CLOSING ->
        if
        :: d_step { threads > KEPT -> threads-- };
            pop(DISMISSED);
            if
            :: s != NOBODY -> rouse(s)
            :: else -> threads++
            fi;
            s = 0
        :: else
        fi
    od
}
#endif

#ifdef DIAL
/* The balancer, or numapool_set_budget. */
proctype dial()
{
    byte s, to, left = CHANGES;
    bit yes, raised;
    do
    :: left == 0 -> break
    :: else ->
        left--;
        if
        :: to = 1
        :: to = 2
#if NW > 2
        :: to = 3
#endif
        fi;
#ifdef BUG_LIMIT_BY_STORE
        s = holders;
        d_step { raised = (to > limit); limit = to; holders = s; s = 0 };
#else
        d_step { raised = (to > limit); limit = to };
#endif
        to = 0;
#ifndef BUG_RAISE_WITHOUT_LOOK
        if
        :: raised -> look(NOBODY)
        :: else
        fi;
#endif
        raised = 0
    od
}
#endif

/* ------------------------------------------------------------------------------------- end */

#ifdef CLOSE
inline await_claims()
{
#ifndef BUG_CLAIMS_NOT_AWAITED
    !claim[0];
#if LANES > 1
    !claim[1];
#endif
#else
    skip
#endif
}

proctype closer()
{
    byte s, i;
    bit got;
    if
#ifndef NO_DRAIN
    :: /* numapool_drain */
        phase = DRAINING;
        await_claims();
        do
        :: true ->
            told = 0;
            if
            :: open_tasks == 0 -> break
            :: else
            fi;
            told
        od;
        quiet_pool = 1 /* nothing may be accepted from here on */
#endif
    :: true
    fi;
    /* numapool_destroy. Nobody ought to submit any more; beside who does, no task is lost. */
    if
    :: atomic { calls == 0 -> no_more = 1 }
    :: true
    fi;
    phase = CLOSING;
    limit = 0;
    await_claims();
#ifdef GROW
    stop_control = 1;
    kick();
    control_gone;
#endif
    /* drop_queued */
    do
    :: take();
        if
        :: got == 0 -> break
        :: else -> d_step { open_tasks--; running--; got = 0 }
        fi
    od;
    /* npi_control_join_workers */
    i = 0;
    do
    :: i == NW -> break
    :: i < NW ->
        do
        :: true ->
#ifdef BUG_JOIN_BY_WAKING
            holders++;
            searching++;
            pop(WOKEN);
            if
            :: s == NOBODY -> leave_searching(); break
            :: else -> rouse(s); s = 0
            fi
#else
            pop(DISMISSED);
            if
            :: s == NOBODY -> break
            :: else -> rouse(s); s = 0
            fi
#endif
        od;
        s = 0;
        if
        :: joinable[i] -> !alive[i]; joinable[i] = 0
        :: else
        fi;
        i++
    od;
    gone = 1;
    assert(open_tasks == 0 && running == 0);
#ifndef GROW /* else a thread may be wanted, and its permit taken, that control does not start any more */
    assert(!no_more || (holders == 0 && searching == 0))
#endif
}
#endif

init
{
    atomic {
        byte i = 0;
        run worker(0);
        run worker(1);
#if NW > 2
        run worker(2);
#endif
#ifdef GROW
        /* npi_control_start: the kept worker runs, searching. */
        word[0] = AWAKE;
        joinable[0] = 1;
        alive[0] = 1;
        started[0] = 1;
        threads = 1;
        pool_threads = 1;
        holders = 1;
        searching = 1;
#else
        do
        :: i < NW ->
            word[i] = ASLEEP;
            stack[i] = i;
            joinable[i] = 1;
            alive[i] = 1;
            started[i] = 1;
            i++
        :: else -> break
        od;
        depth = NW;
        threads = NW;
        pool_threads = NW;
#endif
        run producer(0);
#if NP > 1
        run producer(1);
#endif
#ifdef GROW
        run control();
#ifdef DISMISS
        run other_shard();
#endif
#endif
#ifdef DIAL
        run dial();
#endif
#ifdef CLOSE
        run closer();
#endif
        i = 0
    }
}

ltl finished { [] (open_tasks != 0 -> <> (open_tasks == 0)) }
ltl ended { <> gone }
