/* Between agent_watch.c, which knows when a process is looked for, and agent_find.c, which knows where. */
#ifndef NPI_TOOL_AGENT_FIND_H
#define NPI_TOOL_AGENT_FIND_H

#include "tool/agent_watch.h"

enum agent_found { AGENT_FOUND_NONE, AGENT_FOUND_ONE, AGENT_FOUND_SEVERAL };

/*
 * The process of a target, other than `current` (may be NULL). One that takes tasks goes before one that does
 * not. `command` is the name of the one before, "" = there was none. ONE: *found is the caller's to close.
 * NONE: `reason` says why in a few words, and *result in one.
 */
enum agent_found agent_find(const struct agent_target *target, const char *command,
                            const struct page_process *current, struct page_process *found,
                            char reason[AGENT_REASON_BYTES], enum page_result *result);

/* Prints the processes among which agent_find() could not choose. */
void agent_find_list(const struct agent_target *target, const char *command);

/* The number of a process, or 0: it is none. */
pid_t agent_parse_pid(const char *text);

#endif
