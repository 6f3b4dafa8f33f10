/** A server in the background (daemon.md §1): whoever starts it hears whether it has started. */
import { spawn } from 'node:child_process';

/** What a server in the background says to the process that has started it; then it says nothing any more. */
type StartReport = { readonly started: true } | { readonly failure: string };

/**
 * Starts this program again, apart from the terminal, and waits until it answers requests.
 *
 * @param program main.js
 * @param argv its arguments
 * @returns the exit code for this process: 0 if the server runs
 */
export function startInBackground(program: string, argv: readonly string[]): Promise<number> {
    const child = spawn(
        process.execPath,
        [...process.execArgv, program, ...argv.filter((argument) => argument !== '--daemonize')],
        { detached: true, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    return new Promise((resolve) => {
        let report: StartReport | undefined;
        child.on('message', (message) => {
            report = message as StartReport;
            if ('started' in report) {
                child.unref();
                resolve(0);
            }
        });
        child.once('exit', (code) => {
            const failure =
                report && 'failure' in report ? report.failure : 'it ended before it answered requests';
            process.stderr.write(`The server could not start: ${failure}\n`);
            resolve(code === null || code === 0 ? 1 : code);
        });
    });
}

/** Tells the process that has started this one in the background, if there is one. */
export function reportStart(report: StartReport): void {
    if (process.connected) {
        process.send?.(report, undefined, undefined, () => {
            if (process.connected && 'started' in report) {
                process.disconnect();
            }
        });
    }
}
