/* The soak's books find what they are there for: tasks that end twice, never, late, or though they
   were refused. */
#include "soak/ledger.h"
#include "soak/soak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static unsigned violations;
static char last[256];

void soak_violation(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(last, sizeof last, format, arguments);
    va_end(arguments);
    violations++;
}

static struct ledger book;

static void expect(unsigned count, const char *text)
{
    assert_int_equal(violations, count);
    assert_true(count == 0 || strstr(last, text) != NULL);
    violations = 0;
}

static void open_book(uint32_t slots)
{
    violations = 0;
    assert_true(ledger_open(&book, 3, slots));
}

static void *issue(uint8_t note)
{
    void *task = ledger_draw(&book, note);
    assert_non_null(task);
    ledger_issue(&book, task);
    return task;
}

static void each_once_is_right(void **state)
{
    (void)state;
    open_book(16);
    for (unsigned round = 0; round < 1000; round++) {
        void *tasks[16];
        for (unsigned i = 0; i < 16; i++) {
            tasks[i] = issue((uint8_t)i);
            assert_int_equal(ledger_note(tasks[i]), i);
        }
        assert_null(ledger_draw(&book, 0)); /* all slots wait for their tasks */
        for (unsigned i = 16; i-- > 0;) {
            if (i % 2) {
                ledger_run(tasks[i]);
            } else {
                ledger_drop(tasks[i], NUMAPOOL_E_CLOSED);
            }
        }
        (void)ledger_draw(&book, 0); /* refused */
    }
    ledger_close(&book);
    expect(0, "");
    assert_int_equal(book.issues, 16000);
    assert_int_equal(book.run, 8000);
    assert_int_equal(book.dropped, 8000);
}

static void twice_is_found(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        open_book(4);
        void *task = issue(0);
        for (int end = 0; end < 2; end++) {
            if (how >> end & 1) {
                ledger_run(task);
            } else {
                ledger_drop(task, NUMAPOOL_E_SHED);
            }
        }
        expect(1, "ended twice");
        ledger_close(&book);
        violations = 0;
    }
}

static void never_is_found(void **state)
{
    (void)state;
    open_book(4);
    ledger_run(issue(0));
    (void)issue(0);
    ledger_close(&book);
    expect(1, "never ended");
}

static void refused_and_run_is_found(void **state)
{
    (void)state;
    open_book(4);
    ledger_run(ledger_draw(&book, 0));
    ledger_close(&book);
    expect(1, "refused");
    open_book(1);
    ledger_run(ledger_draw(&book, 0));
    (void)ledger_draw(&book, 0); /* the slot's next use finds it too */
    expect(1, "refused");
    ledger_close(&book);
    violations = 0;
}

static void late_is_found(void **state)
{
    (void)state;
    open_book(1);
    void *task = issue(0);
    ledger_run(task);
    void *next = issue(0);
    ledger_run(task); /* again, when its slot is another's */
    expect(1, "in use for another");
    ledger_run(next);
    violations = 0;
    ledger_close(&book);
}

static void a_wrong_reason_is_found(void **state)
{
    (void)state;
    open_book(1);
    ledger_drop(issue(0), NUMAPOOL_E_FULL);
    expect(1, "why");
    ledger_close(&book);
}

static void a_pair_is_kept(void **state)
{
    (void)state;
    open_book(8);
    void *first = issue(1), *second = issue(2);
    ledger_pair(&book, first, second);
    assert_ptr_equal(ledger_second(first), second);
    ledger_run(first);
    ledger_run(second);
    ledger_close(&book);
    expect(0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once_is_right), cmocka_unit_test(twice_is_found),
        cmocka_unit_test(never_is_found),     cmocka_unit_test(refused_and_run_is_found),
        cmocka_unit_test(late_is_found),      cmocka_unit_test(a_wrong_reason_is_found),
        cmocka_unit_test(a_pair_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
