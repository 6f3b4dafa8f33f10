/**
 * What `npm test` prints: a line for each subject, every failure in full, every skipped test with its reason, the
 * slowest tests, and as the last line of all `N passed, N failed[, N skipped]`.
 *
 * One of several runs (tools/test-lanes.mjs) leaves the failures and what follows them to the one that counts them all:
 * `IMGAPI_TEST_SUMMARY` names the file to write them to.
 */
import { writeFileSync } from 'node:fs';
import { reporters, Runner, type Suite, type Test } from 'mocha';
import { format } from 'node:util';
import { skipReason } from './skip';

const { EVENT_RUN_BEGIN, EVENT_RUN_END, EVENT_SUITE_BEGIN, EVENT_SUITE_END } = Runner.constants;
const { EVENT_TEST_FAIL, EVENT_TEST_PASS, EVENT_TEST_PENDING } = Runner.constants;

/** Up to this many tests each one has its line. */
const FEW_TESTS = 60;

const SLOWEST = 10;

interface Counts {
    passed: number;
    failed: number;
    skipped: number;
}

const print = (line = ''): void => {
    process.stdout.write(`${line}\n`);
};

const time = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

export function countsLine({ passed, failed, skipped }: Counts): string {
    return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

export default class Reporter extends reporters.Base {
    readonly #total: Counts = { passed: 0, failed: 0, skipped: 0 };
    readonly #durations: { title: string; duration: number }[] = [];
    /** Of the subject (a describe that is in no other) that is running. */
    #subject: Counts = { passed: 0, failed: 0, skipped: 0 };
    #subjectStarted = 0;
    #everyTest = false;
    #ended = false;
    /** Where the counts go instead of the output. */
    readonly #summaryFile = process.env.IMGAPI_TEST_SUMMARY;
    #failureTexts = '';

    constructor(runner: Runner, options?: Mocha.MochaOptions) {
        super(runner, options);
        // Runs that a test starts are not part of this one.
        delete process.env.IMGAPI_TEST_SUMMARY;
        runner
            .on(EVENT_RUN_BEGIN, () => (this.#everyTest = runner.total <= FEW_TESTS && !this.#summaryFile))
            .on(EVENT_SUITE_BEGIN, (suite) => this.#beginSuite(suite))
            .on(EVENT_SUITE_END, (suite) => this.#endSuite(suite))
            .on(EVENT_TEST_PASS, (test) => this.#pass(test))
            .on(EVENT_TEST_FAIL, (test) => this.#fail(test))
            .on(EVENT_TEST_PENDING, (test) => this.#skip(test))
            .on(EVENT_RUN_END, () => this.#end());
        // At the exit, so that it is the last line whatever else ends late.
        process.once('exit', (code) => this.#exit(code));
    }

    #beginSuite(suite: Suite): void {
        if (suite.parent?.root) {
            this.#subject = { passed: 0, failed: 0, skipped: 0 };
            this.#subjectStarted = performance.now();
            if (this.#everyTest) {
                print(suite.title);
            }
        }
    }

    #endSuite(suite: Suite): void {
        if (suite.parent?.root && !this.#everyTest) {
            const duration = time(Math.round(performance.now() - this.#subjectStarted));
            const mark = this.#subject.failed > 0 ? '✗' : '✓';
            print(`${mark} ${suite.title}: ${countsLine(this.#subject)} (${duration})`);
        }
    }

    #pass(test: Test): void {
        this.#total.passed++;
        this.#subject.passed++;
        const duration = test.duration ?? 0;
        this.#durations.push({ title: test.fullTitle(), duration });
        if (this.#everyTest) {
            print(`  ✓ ${titleIn(test)} (${time(duration)})`);
        }
    }

    #fail(test: Test): void {
        this.#total.failed++;
        this.#subject.failed++;
        this.#durations.push({ title: test.fullTitle(), duration: test.duration ?? 0 });
        print(`  ✗ ${titleIn(test)}`);
    }

    #skip(test: Test): void {
        this.#total.skipped++;
        this.#subject.skipped++;
        print(`  - ${titleIn(test)} was skipped: ${skipReason(test) ?? 'no reason is given'}`);
    }

    #end(): void {
        this.#ended = true;
        if (this.#summaryFile !== undefined) {
            this.#failureTexts = listFailures(this.failures);
            return;
        }
        if (this.failures.length > 0) {
            print();
            print('Failures:');
            print(listFailures(this.failures));
        }
        const slowest = this.#durations.sort((a, b) => b.duration - a.duration).slice(0, SLOWEST);
        print();
        print('Slowest:');
        slowest.forEach(({ title, duration }) => print(`  ${time(duration).padStart(8)}  ${title}`));
    }

    #exit(code: number): void {
        // A run that ends in another way than by its tests has failed as well.
        if (!this.#ended) {
            print('The run ended before all tests had run.');
        }
        const unaccounted = this.#total.failed === 0 && (code !== 0 || !this.#ended);
        if (unaccounted) {
            process.exitCode = code || 1;
        }
        const counts = { ...this.#total, failed: this.#total.failed + (unaccounted ? 1 : 0) };
        if (this.#summaryFile !== undefined) {
            const reason = unaccounted ? 'A run ended with an error that no test has caused; see above.' : '';
            const summary = { counts, failures: this.#failureTexts || reason, durations: this.#durations };
            writeFileSync(this.#summaryFile, JSON.stringify(summary));
            return;
        }
        print();
        print(countsLine(counts));
    }
}

/** The failures in full, as mocha shows them. */
function listFailures(failures: Test[]): string {
    const lines: string[] = [];
    const { consoleLog } = reporters.Base;
    reporters.Base.consoleLog = (...args: unknown[]) => lines.push(format(...args));
    try {
        reporters.Base.list(failures);
    } finally {
        reporters.Base.consoleLog = consoleLog;
    }
    return lines.join('\n');
}

/** The title within the subject. */
function titleIn(test: Test): string {
    const [subject, ...rest] = test.titlePath();
    return rest.length > 0 ? rest.join(' › ') : (subject ?? '');
}
