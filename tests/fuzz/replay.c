/*
 * Goes through inputs without a fuzzer: each argument is a file, or a folder of which every file is
 * taken, in the order of their names. No input at all is a failure: a corpus that has moved away
 * would otherwise pass for ever.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool read_whole(const char *path, uint8_t **data, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t room = 1 << 16, used = 0, count;
    uint8_t *bytes = malloc(room);
    while (bytes != NULL && (count = fread(bytes + used, 1, room - used, file)) > 0) {
        used += count;
        if (used == room) {
            uint8_t *grown = realloc(bytes, room *= 2);
            if (grown == NULL)
                free(bytes);
            bytes = grown;
        }
    }
    bool done = bytes != NULL && !ferror(file);
    fclose(file);
    if (!done) {
        free(bytes);
        return false;
    }
    /* Exactly as long as the input, so that a sanitizer sees a read behind it. */
    *data = malloc(used != 0 ? used : 1);
    if (*data != NULL)
        memcpy(*data, bytes, used);
    *size = used;
    free(bytes);
    return *data != NULL;
}

static unsigned replay_file(const char *path)
{
    uint8_t *data = NULL;
    size_t size = 0;
    if (!read_whole(path, &data, &size)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    fuzz_label(path);
    LLVMFuzzerTestOneInput(data, size);
    fuzz_label(NULL);
    free(data);
    return 1;
}

static unsigned replay_folder(const char *folder)
{
    struct dirent **entries = NULL;
    int found = scandir(folder, &entries, NULL, alphasort);
    unsigned count = 0;
    if (found < 0) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        exit(1);
    }
    for (int i = 0; i < found; i++) {
        char path[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
            count += replay_file(path);
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        bool folder = stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode);
        count += folder ? replay_folder(argv[i]) : replay_file(argv[i]);
    }
    printf("%u inputs\n", count);
    return count > 0 ? 0 : 1;
}
