/*
 * Settings from NUMAPOOL_ variables: the names of the table in capitals, and NUMAPOOL_CONFIG for a
 * file that is read first. Values are written as in a file, without the quotes.
 *
 * Reads the environment without a lock, as getenv() does: no other thread may change it meanwhile.
 */
#include "topology/config_edit.h"
#include "topology/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define PREFIX "NUMAPOOL_"
#define PREFIX_LENGTH (sizeof PREFIX - 1)
#define FILE_VARIABLE "CONFIG"
#define NAME_MAX_LENGTH 63u

extern char **environ;

/* "TICK" to "tick"; false: no setting has so long a name. */
static bool to_setting_name(const char *variable, size_t length, char name[NAME_MAX_LENGTH + 1])
{
    if (length > NAME_MAX_LENGTH)
        return false;
    for (size_t i = 0; i < length; i++)
        name[i] = (char)tolower((unsigned char)variable[i]);
    name[length] = '\0';
    return true;
}

static bool has_port(const char *variable, size_t length)
{
    const char *end = variable + length, *at = variable;
    while ((at = memmem(at, (size_t)(end - at), "PORT", 4)) != NULL) {
        const char *after = at + 4;
        if ((at == variable || at[-1] == '_') &&
            (after == end ||
             (end - after > 1 && after[0] == '_' && isdigit((unsigned char)after[1]))))
            return true;
        at = after;
    }
    return false;
}

/*
 * Others make variables out of our name, and a pool that does not start because of them would be
 * worse than a mistake that goes unseen: find_package(numapool) takes hints where it is installed
 * from NUMAPOOL_ROOT and NUMAPOOL_DIR, and Kubernetes tells every container of a service called
 * numapool-agent by NUMAPOOL_AGENT_SERVICE_HOST, _SERVICE_PORT_HTTP, _PORT, _PORT_80_TCP_ADDR ...
 * No setting has a name like these.
 */
static bool is_meant_for_others(const char *variable, size_t length)
{
    return (length == 4 && strncmp(variable, "ROOT", 4) == 0) ||
           (length == 3 && strncmp(variable, "DIR", 3) == 0) ||
           memmem(variable, length, "SERVICE_HOST", 12) != NULL ||
           memmem(variable, length, "SERVICE_PORT", 12) != NULL || has_port(variable, length);
}

static void unknown_variable(struct npi_config_edit *edit, const char *variable, size_t length,
                             const char *name)
{
    char nearest[NAME_MAX_LENGTH + 1] = FILE_VARIABLE;
    const char *suggestion = npi_setting_suggest(NPI_GROUP_POOL, name);
    if (npi_word_distance(name, "config", 2) <= 2)
        suggestion = "config";
    for (size_t i = 0; suggestion != NULL && i <= strlen(suggestion); i++)
        nearest[i] = (char)toupper((unsigned char)suggestion[i]);
    if (suggestion != NULL)
        npi_mistakes_add(&edit->mistakes, 0,
                         "environment: %s%.*s: there is no such setting; did you mean %s%s?",
                         PREFIX, (int)length, variable, PREFIX, nearest);
    else
        npi_mistakes_add(&edit->mistakes, 0,
                         "environment: %s%.*s: there is no such setting; variables that begin with "
                         "%s are settings of the pool, so rename or unset it",
                         PREFIX, (int)(length < 80 ? length : 80), variable, PREFIX);
}

static void apply_setting(struct npi_config_edit *edit, const struct npi_setting *setting,
                          const char *variable, size_t length, const char *text)
{
    struct npi_value value;
    char *what = NULL;
    char *where = npi_text_format("environment: %s%.*s", PREFIX, (int)length, variable);
    if (where != NULL && npi_setting_parse(setting, text, &value, &what)) {
        npi_config_edit_store(edit, setting, &value, where);
        npi_value_fini(&value);
    } else if (where == NULL || what == NULL)
        edit->mistakes.no_memory = true;
    else
        npi_mistakes_add(&edit->mistakes, 0, "%s: %s", where, what);
    free(what);
    free(where);
}

static void apply_variable(struct npi_config_edit *edit, const char *variable)
{
    const char *equals = strchr(variable, '=');
    char name[NAME_MAX_LENGTH + 1] = "";
    if (equals == NULL || equals[1] == '\0') /* `NAME= program` is how a shell unsets one */
        return;
    size_t length = (size_t)(equals - variable);
    bool fits = to_setting_name(variable, length, name);
    if (strcmp(name, "config") == 0 && strncmp(variable, FILE_VARIABLE, length) == 0)
        return;
    const struct npi_setting *setting = fits ? npi_setting_find(NPI_GROUP_POOL, name) : NULL;
    /* Only capitals are ours: numapool_tick in lower letters is somebody else's business. */
    for (size_t i = 0; setting != NULL && i < length; i++)
        if (islower((unsigned char)variable[i]))
            setting = NULL;
    if (setting == NULL) {
        if (!is_meant_for_others(variable, length))
            unknown_variable(edit, variable, length, name);
    } else
        apply_setting(edit, setting, variable, length, equals + 1);
}

void npi_config_env_apply(struct npi_config_edit *edit)
{
    /* With more privileges than its starter's a process must not do as its starter says. */
    bool trusted = getauxval(AT_SECURE) == 0;
    const char *path = secure_getenv(PREFIX FILE_VARIABLE);
    if (path != NULL && *path != '\0')
        npi_config_file_apply(edit, path);
    for (char **entry = environ; trusted && entry != NULL && *entry != NULL; entry++)
        if (strncmp(*entry, PREFIX, PREFIX_LENGTH) == 0)
            apply_variable(edit, *entry + PREFIX_LENGTH);
}

int numapool_config_env(struct numapool_config *config, struct numapool_error *error)
{
    struct npi_config_edit edit;
    int result = npi_config_edit_begin(&edit, config);
    if (result != NUMAPOOL_OK) {
        if (error != NULL) {
            *error = (struct numapool_error){.count = 1};
            (void)snprintf(error->text, sizeof error->text, "%s",
                           result == NUMAPOOL_E_INVALID
                               ? "the configuration is NULL or was not set up by "
                                 "numapool_config_init()"
                               : "out of memory");
        }
        return result;
    }
    npi_config_env_apply(&edit);
    return npi_config_edit_finish(&edit, error);
}
