/*
 * A table for a terminal: cells are added row by row and printed in columns that are as wide as
 * they need to be, or, where the line is too short, broken at commas and blanks.
 */
#ifndef NPI_TOOL_COLUMNS_H
#define NPI_TOOL_COLUMNS_H

#include <stdbool.h>
#include <stdio.h>

#define COLUMNS_MAX 10u

struct column {
    const char *head;
    bool right;  /* numbers */
    bool breaks; /* may be made narrower */
};

struct columns {
    const struct column *columns;
    unsigned column_count;
    unsigned width; /* of a line; 0 = without bound */
    bool colour;    /* the head in bold */
    char **cells;
    unsigned cell_count;
    bool failed; /* no memory for some cell: columns_print() says so */
};

__attribute__((format(printf, 2, 3))) void columns_add(struct columns *table, const char *format,
                                                       ...);

/* Prints and empties it. false: memory was out. */
bool columns_print(struct columns *table, FILE *out);

/* A sentence over several lines, all but the first indented by `indent`, where the first begins now. */
void columns_wrap(FILE *out, const char *sentence, unsigned indent, unsigned width);

/* Characters of a line of the terminal; 0 where the output is none. */
unsigned columns_width(FILE *out);

/* Whether to colour: a terminal, and neither NO_COLOR nor TERM=dumb. */
bool columns_colour(FILE *out);

#endif
