/*
 * How much more work a pool could take, as one number a load balancer can deal by. Pure: figures in,
 * number out.
 *
 *     headroom = (1 - busy/2) * (1 - filled) / (1 + rounds/4) * (1 - refused)^2
 *
 *     busy     running workers per permit
 *     filled   waiting tasks per place in the queue
 *     rounds   waiting tasks per permit: how often every worker has to come round before a new task's turn
 *     refused  which part of the tasks handed in was refused for want of room
 *
 * Each factor is 1 at rest and falls, without a step, as its figure grows, so the product does. What they
 * are there for:
 * - busy tells servers apart before anything waits. It takes away a half at most: two equal servers behind
 *   one balancer then settle. Let w(b) be the factor and each server be busy to b. A little more to one of
 *   them comes back as b * |w'(b)| / w(b) of that to the other, which is b / (2 - b): below 1 as long as
 *   anybody is idle. With 1 - b it would be b / (1 - b), and above 1 from b = 1/2 on.
 * - filled reaches 0 where the queue ends, and is next to nothing before: a queue of thousands is never seen
 *   full, as the bound on the predicted wait refuses long before that. Hence rounds: half the
 *   weight with four tasks waiting per permit, whatever the length of the queue or of a task.
 * - refused answers for all that cannot be seen from outside: bounds on waits and bytes, deadlines, classes.
 *   The square is what moves load away: a server that can do c of the l that it is offered has
 *   1 - refused = c / l, so with the first power it would lose only as much as it is offered too much. With the
 *   square it still settles, in the model of unit/headroom_test.c, in which the fourth power swings.
 */
#ifndef NPI_TOOL_HEADROOM_H
#define NPI_TOOL_HEADROOM_H

#include "tool/pool_view.h"

struct headroom {
    double busy, filled, refused; /* 0 to 1 */
    double rounds;
    double room; /* 1 = at rest, 0 = none */
};

/* Of a whole pool; refusals are those between the view's last two samples. */
struct headroom headroom_of(const struct pool_view *view);

/* The formula by itself. Values out of bounds count as the bound. */
double headroom_room(double busy, double filled, double rounds, double refused);

#endif
