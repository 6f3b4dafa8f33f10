/**
 * Runs test files in several mocha processes side by side, a few files at a time: most tests wait more than they
 * compute. What one process prints comes out in one piece when it has ended; failures and counts come once, at the end.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

/** More would be in each other's way: the services they start take processors as well. */
const MOST_LANES = 4;

/** A process takes a second to start, so it gets more than one file; and few enough for the lanes to end together. */
const BATCH = 5;

const SLOWEST = 12;

// The files that the patterns of .mocharc.json, such as test/unit/**/*.test.js, stand for; in their order.
export function testFiles(root, patterns) {
    return patterns.flatMap((pattern) => {
        const [folder, name] = pattern.split('/**/*');
        return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
            .filter((file) => file.endsWith(name))
            .sort()
            .map((file) => join(folder, file));
    });
}

/** @param end is called with what a process printed, and with its summary (test/support/reporter.ts) if it got so far */
function runBatch(args, root, running, end) {
    const folder = mkdtempSync(join(tmpdir(), 'imgapi-tests-'));
    const summaryFile = join(folder, 'summary.json');
    const child = spawn(process.execPath, args, {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, IMGAPI_TEST_SUMMARY: summaryFile },
    });
    running.add(child);
    const output = [];
    child.stdout.on('data', (chunk) => output.push(chunk));
    child.stderr.on('data', (chunk) => output.push(chunk));
    child.once('close', () => {
        running.delete(child);
        let summary;
        try {
            summary = JSON.parse(readFileSync(summaryFile, 'utf8'));
        } catch {
            // It was killed, or could not load its files; that counts below.
        }
        rmSync(folder, { recursive: true });
        end(Buffer.concat(output), summary);
    });
}

/**
 * Runs the files with mocha and prints the sum of all, `N passed, N failed[, N skipped]` as the last line.
 *
 * @param mochaArgs the path of mocha and its options
 * @returns the exit code
 */
export async function runInLanes(mochaArgs, files, root) {
    const waiting = [];
    for (let start = 0; start < files.length; start += BATCH) {
        waiting.push(files.slice(start, start + BATCH));
    }
    const running = new Set();
    const total = { passed: 0, failed: 0, skipped: 0, failures: [], durations: [] };
    let stopped = false;
    for (const signal of ['SIGINT', 'SIGTERM']) {
        process.on(signal, () => {
            stopped = true;
            running.forEach((child) => child.kill(signal));
        });
    }

    const lane = async () => {
        for (let batch = waiting.shift(); batch && !stopped; batch = waiting.shift()) {
            await new Promise((resolve) => {
                runBatch([...mochaArgs, ...batch], root, running, (output, summary) => {
                    process.stdout.write(output);
                    addTo(total, summary ?? lost(batch), files.indexOf(batch[0]));
                    resolve();
                });
            });
        }
    };
    // One more than there are processors: while one waits, another computes.
    const lanes = Math.min(availableParallelism() + 1, MOST_LANES);
    await Promise.all(Array.from({ length: lanes }, lane));

    if (stopped) {
        addTo(total, { ...lost([]), failures: 'The run was interrupted.' }, files.length);
    }
    if (total.failures.length > 0) {
        const texts = total.failures.sort((a, b) => a.place - b.place).map(({ text }) => text);
        console.log(`\nFailures:\n${texts.join('\n')}`);
    }
    console.log('\nSlowest:');
    const slowest = total.durations.sort((a, b) => b.duration - a.duration).slice(0, SLOWEST);
    slowest.forEach(({ title, duration }) => console.log(`  ${(duration / 1000).toFixed(1)} s  ${title}`));
    const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
    console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
    return total.failed > 0 ? 1 : 0;
}

/** What counts for files whose process did not come to its end. */
function lost(batch) {
    return {
        counts: { passed: 0, failed: 1, skipped: 0 },
        failures: `The run of these files ended before it could count: ${batch.join(', ')}`,
        durations: [],
    };
}

/** @param place of the first of its files among all: lanes end when they will, but failures are told in order */
function addTo(total, { counts, failures, durations }, place) {
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
    total.durations.push(...durations);
    if (failures !== '') {
        total.failures.push({ place, text: failures });
    }
}
