/* See top_draw.h. */
#include "tool/top_draw.h"

#include "tool/tool.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <unistd.h>

/* Colours of bars: there is room, it fills, it is full. */
enum { PAIR_ROOM = 1, PAIR_FILLS, PAIR_FULL };
#define FILLS_FROM 0.5
#define FULL_FROM 0.9

#define LINE_BYTES 512

static SCREEN *terminal;
static bool colourful;

bool top_draw_begin(bool colours)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        tool_complain("this needs a terminal; --once, or numapool stat, prints");
        return false;
    }
    int status = 0;
    bool moves = setupterm(NULL, STDOUT_FILENO, &status) == OK && tigetstr("cup") != NULL;
    if (status > 0) {
        (void)del_curterm(cur_term);
    }
    terminal = moves ? newterm(NULL, stdout, stdin) : NULL;
    if (terminal == NULL) {
        const char *name = getenv("TERM");
        tool_complain("the terminal '%s' (TERM) is not known, or cannot move its cursor; numapool "
                      "stat prints to any",
                      name != NULL ? name : "");
        return false;
    }
    (void)set_term(terminal);
    (void)cbreak();
    (void)noecho();
    (void)keypad(stdscr, true);
    (void)curs_set(0);
    colourful = colours && has_colors() && start_color() == OK;
    if (colourful) {
        (void)use_default_colors();
        (void)init_pair(PAIR_ROOM, COLOR_GREEN, -1);
        (void)init_pair(PAIR_FILLS, COLOR_YELLOW, -1);
        (void)init_pair(PAIR_FULL, COLOR_RED, -1);
    }
    return true;
}

void top_draw_end(void)
{
    (void)endwin();
    delscreen(terminal);
    terminal = NULL;
}

static void put_line(int y, const char *text, attr_t attributes)
{
    if (y < 0 || y >= LINES) {
        return;
    }
    (void)attrset((int)attributes);
    (void)move(y, 0);
    (void)addnstr(text, COLS);
    (void)attrset(A_NORMAL);
}

/* A whole line in reverse. */
static void put_strip(int y, const char *text)
{
    put_line(y, text, A_REVERSE);
    if (y >= 0 && y < LINES) {
        (void)mvchgat(y, 0, -1, A_REVERSE, 0, NULL);
    }
}

static void colour_bars(int y, const struct top_layout *layout, const struct pool_row *row)
{
    for (unsigned i = 0; i < layout->count; i++) {
        double fill = top_view_fill(layout->at[i].column, row);
        if (fill < 0.0 || (int)(layout->at[i].x + layout->at[i].width) > COLS) {
            continue;
        }
        unsigned inside = layout->at[i].width - 2;
        unsigned filled = (unsigned)(fill * inside + 0.5);
        int pair = fill >= FULL_FROM ? PAIR_FULL : fill >= FILLS_FROM ? PAIR_FILLS : PAIR_ROOM;
        if (colourful && filled != 0) {
            (void)mvchgat(y, (int)layout->at[i].x + 1, (int)filled, A_BOLD, (short)pair, NULL);
        }
    }
}

static void put_row(int y, const struct top_layout *layout, const struct pool_row *row,
                    const char *name, attr_t attributes)
{
    char line[LINE_BYTES];
    if (y < 0 || y >= LINES) {
        return;
    }
    top_view_row(layout, row, name, line, sizeof line);
    put_line(y, line, row->stale ? attributes | A_DIM : attributes);
    colour_bars(y, layout, row);
}

static void put_help(int y)
{
    for (unsigned i = 0; top_help[i] != NULL; i++) {
        put_line(y + (int)i, top_help[i], A_NORMAL);
    }
}

static void put_keys(const struct top_screen *screen)
{
    char line[LINE_BYTES];
    if (screen->message != NULL) {
        (void)snprintf(line, sizeof line, "%s; q quits", screen->message);
    } else if (screen->help) {
        (void)snprintf(line, sizeof line, "any key: back");
    } else {
        (void)snprintf(line, sizeof line, "%sq quit  p pause  h help  s sort: %s%s  r reverse%s",
                       screen->paused ? "PAUSED  " : "", top_sort_name(screen->sort),
                       screen->reverse ? " (turned)" : "",
                       screen->head.pages > 1 ? "  Tab pool" : "");
    }
    put_strip(LINES - 1, line);
}

/* The table's rows between two lines of the screen, and the sum behind the last one. */
static bool put_table(struct top_screen *screen, int from, int until, size_t *rows_shown)
{
    const struct pool_view *view = screen->view;
    struct top_layout layout;
    char line[LINE_BYTES];
    top_view_lay_out(&layout, (unsigned)COLS);
    top_view_titles(&layout, line, sizeof line);
    put_strip(from, line);
    bool sum = view->count > 1 && until - from > 2;
    int room = until - from - 1 - (sum ? 1 : 0);
    size_t rows = room > 0 ? (size_t)room : 0;
    size_t last = view->count > rows ? view->count - rows : 0;
    screen->scroll = screen->scroll < last ? screen->scroll : last;
    size_t *order = malloc((view->count + 1) * sizeof *order);
    if (order == NULL) {
        return false;
    }
    top_view_order(view, screen->sort, screen->reverse, order);
    int y = from + 1;
    for (size_t i = screen->scroll; i < view->count && i < screen->scroll + rows; i++, y++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%zu", order[i]);
        put_row(y, &layout, &view->rows[order[i]], name, A_NORMAL);
    }
    if (sum) {
        put_row(y, &layout, &view->total, "all", A_BOLD);
    }
    free(order);
    *rows_shown = rows;
    return true;
}

bool top_draw(struct top_screen *screen, size_t *rows_shown)
{
    /* Where lines are few the table comes first: a title, a row, and the keys at least. */
    int head = LINES >= 10 ? TOP_HEAD_LINES : LINES >= 5 ? 1 : 0;
    bool all = true;
    (void)erase();
    if (screen->help && LINES < 20) {
        head = 0;
    }
    for (int i = 0; i < head; i++) {
        char line[LINE_BYTES];
        top_view_head(&screen->head, screen->page, screen->view, (unsigned)i, line, sizeof line);
        put_line(i, line, i == 0 ? A_BOLD : A_NORMAL);
    }
    int from = LINES >= 14 ? head + 1 : head;
    if (screen->help) {
        put_help(head != 0 ? from : 0);
    } else {
        all = put_table(screen, from, LINES - 1, rows_shown);
    }
    put_keys(screen);
    (void)refresh();
    return all;
}

enum top_key top_draw_key(int wait_ms)
{
    timeout(wait_ms);
    switch (getch()) {
    case ERR: /* a terminal that is gone would answer so at once, and for ever */
        return isatty(STDIN_FILENO) ? TOP_KEY_NONE : TOP_KEY_QUIT;
    case 'q':
    case 'Q':
    case 3: /* ^C, where the terminal does not make a signal of it */
        return TOP_KEY_QUIT;
    case 'p':
    case ' ':
        return TOP_KEY_PAUSE;
    case 'h':
    case '?':
    case KEY_F(1):
        return TOP_KEY_HELP;
    case 's':
    case '>':
        return TOP_KEY_SORT_NEXT;
    case 'S':
    case '<':
        return TOP_KEY_SORT_BEFORE;
    case 'r':
        return TOP_KEY_REVERSE;
    case '+':
        return TOP_KEY_SLOWER;
    case '-':
        return TOP_KEY_FASTER;
    case '\t':
        return TOP_KEY_POOL;
    case KEY_UP:
    case 'k':
        return TOP_KEY_UP;
    case KEY_DOWN:
    case 'j':
        return TOP_KEY_DOWN;
    case KEY_PPAGE:
        return TOP_KEY_PAGE_UP;
    case KEY_NPAGE:
        return TOP_KEY_PAGE_DOWN;
    case KEY_HOME:
        return TOP_KEY_FIRST;
    case KEY_END:
        return TOP_KEY_LAST;
    default:
        return TOP_KEY_OTHER;
    }
}
