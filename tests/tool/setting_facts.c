/* The table of settings as JSON, for plan_test.py, which holds numapool.conf(5) against it. */
#include "topology/quantity.h"
#include "topology/settings.h"

#include <inttypes.h>
#include <stdio.h>

static void bound_text(const struct npi_setting *setting, uint64_t bound,
                       char text[NPI_QUANTITY_TEXT])
{
    if (setting->kind == NPI_SETTING_TIME)
        npi_time_text(bound, text);
    else if (setting->kind == NPI_SETTING_BYTES)
        npi_bytes_text(bound, text);
    else if (setting->kind == NPI_SETTING_SHARE)
        npi_share_text((double)bound / 1000, text);
    else
        (void)snprintf(text, NPI_QUANTITY_TEXT, "%" PRIu64, bound);
}

int main(void)
{
    static const char *const kinds[] = {"count", "time", "size", "fraction",
                                        "word",  "text", "list"};
    for (unsigned i = 0; i < npi_setting_count; i++) {
        const struct npi_setting *setting = &npi_settings[i];
        char low[NPI_QUANTITY_TEXT], high[NPI_QUANTITY_TEXT];
        bound_text(setting, setting->low, low);
        bound_text(setting, setting->high, high);
        (void)printf("{\"group\": \"%s\", \"name\": \"%s\", \"takes\": \"%s\", \"off\": %s, ",
                     setting->group == NPI_GROUP_POOL ? "POOL" : "EXPECT", setting->name,
                     kinds[setting->kind], setting->may_be_off ? "true" : "false");
        if (setting->high > 0)
            (void)printf("\"bounds\": \"%s to %s\", ", low, high);
        else
            (void)printf("\"bounds\": null, ");
        (void)printf("\"words\": [");
        for (unsigned k = 0; setting->words != NULL && setting->words[k] != NULL; k++)
            (void)printf("%s\"%s\"", k > 0 ? ", " : "", setting->words[k]);
        (void)printf("], \"default\": \"");
        for (const char *at = setting->default_text; *at != '\0'; at++)
            (void)printf("%s%c", *at == '"' ? "\\" : "", *at);
        (void)printf("\"}\n");
    }
    return 0;
}
