/* The screen of `numapool top`: the only file that knows ncurses, with its .c. */
#ifndef NPI_TOOL_TOP_DRAW_H
#define NPI_TOOL_TOP_DRAW_H

#include "tool/top_view.h"

/* What is on the screen, and what its user has chosen. */
struct top_screen {
    struct top_head head;
    const struct page *page;
    const struct pool_view *view;
    enum top_sort sort;
    bool reverse, paused, help;
    size_t scroll;       /* the first row shown; kept within what there is */
    const char *message; /* instead of the keys; NULL = none */
};

enum top_key {
    TOP_KEY_NONE, /* the time is over */
    TOP_KEY_QUIT,
    TOP_KEY_PAUSE,
    TOP_KEY_HELP,
    TOP_KEY_SORT_NEXT,
    TOP_KEY_SORT_BEFORE,
    TOP_KEY_REVERSE,
    TOP_KEY_SLOWER,
    TOP_KEY_FASTER,
    TOP_KEY_POOL,
    TOP_KEY_UP,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_FIRST,
    TOP_KEY_LAST,
    TOP_KEY_OTHER, /* or the size has changed: draw again */
};

/* False: the terminal cannot be used; why is complained of. */
bool top_draw_begin(bool colours);
void top_draw_end(void);

/* Returns how many rows of the table fit; also sets screen->scroll right. False: no memory. */
bool top_draw(struct top_screen *screen, size_t *rows_shown);

enum top_key top_draw_key(int wait_ms);

#endif
