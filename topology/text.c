/* Growing text and lists of sentences; see text.h. */
#include "topology/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool make_room(struct npi_text *text, size_t more)
{
    size_t needed = text->length + more + 1;
    if (needed <= text->room)
        return true;
    size_t room = text->room != 0 ? text->room : 128;
    while (room < needed)
        room *= 2;
    char *bytes = realloc(text->bytes, room);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

static void add_list(struct npi_text *text, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) {
        text->failed = true;
        return;
    }
    if (!make_room(text, (size_t)length))
        return;
    (void)vsnprintf(text->bytes + text->length, (size_t)length + 1, format, arguments);
    text->length += (size_t)length;
}

void npi_text_fini(struct npi_text *text)
{
    free(text->bytes);
    *text = (struct npi_text){0};
}

void npi_text_add(struct npi_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_list(text, format, arguments);
    va_end(arguments);
}

void npi_text_add_set(struct npi_text *text, const struct npi_cpuset *set)
{
    size_t length = npi_cpuset_print(set, NULL, 0);
    if (!make_room(text, length))
        return;
    npi_cpuset_print(set, text->bytes + text->length, length + 1);
    text->length += length;
}

void npi_text_add_quoted(struct npi_text *text, const char *string)
{
    npi_text_add(text, "\"");
    for (const unsigned char *at = (const unsigned char *)string; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            npi_text_add(text, "\\%c", *at);
        else if (*at < 0x20 || *at == 0x7f)
            npi_text_add(text, "\\x%02x", *at);
        else
            npi_text_add(text, "%c", *at);
    }
    npi_text_add(text, "\"");
}

void npi_text_add_bytes(struct npi_text *text, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    unsigned unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    if (value < 10 && value != (double)(unsigned)value)
        npi_text_add(text, "%.1f %s", value, units[unit]);
    else
        npi_text_add(text, "%.0f %s", value, units[unit]);
}

char *npi_text_take(struct npi_text *text)
{
    npi_text_add(text, "%s", "");
    char *bytes = NULL;
    if (!text->failed) {
        bytes = text->bytes;
        text->bytes = NULL;
    }
    npi_text_fini(text);
    return bytes;
}

int npi_text_write(const struct npi_text *text, int fd)
{
    if (text->failed)
        return -ENOMEM;
    for (size_t done = 0; done < text->length;) {
        ssize_t count = write(fd, text->bytes + done, text->length - done);
        if (count < 0 && errno != EINTR)
            return -errno;
        if (count > 0)
            done += (size_t)count;
    }
    return 0;
}

char *npi_text_format(const char *format, ...)
{
    struct npi_text text = {0};
    va_list arguments;
    va_start(arguments, format);
    add_list(&text, format, arguments);
    va_end(arguments);
    return npi_text_take(&text);
}

bool npi_notes_add(char ***notes, unsigned *count, const char *format, ...)
{
    struct npi_text text = {0};
    va_list arguments;
    va_start(arguments, format);
    add_list(&text, format, arguments);
    va_end(arguments);
    char *line = npi_text_take(&text);
    char **grown = line != NULL ? realloc(*notes, (*count + 1) * sizeof **notes) : NULL;
    if (grown == NULL) {
        free(line);
        return false;
    }
    grown[(*count)++] = line;
    *notes = grown;
    return true;
}

void npi_notes_free(char **notes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(notes[i]);
    free(notes);
}
