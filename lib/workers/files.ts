/** Files by which others find a running server. */
import { readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';

/**
 * Writes a file as a whole: whoever waits for it never finds half of it. It is removed when the process ends, unless
 * another server has written its own there meanwhile.
 */
function writeWhole(path: string, text: string): void {
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, text);
    renameSync(unfinished, path);
    process.once('exit', () => {
        try {
            if (readFileSync(path, 'utf8') === text) {
                unlinkSync(path);
            }
        } catch {
            // Somebody else has removed it.
        }
    });
}

/** Writes the number of this process. @throws Error if it cannot */
export function writePidFile(path: string): void {
    try {
        writeWhole(path, `${process.pid}\n`);
    } catch (err) {
        throw new Error(
            `The number of the process cannot be written into ${path}: ${(err as Error).message}`,
            {
                cause: err,
            },
        );
    }
}

/** Writes the port that the server listens on. @throws Error if it cannot, or there is none */
export function writePortFile(path: string, port: number | undefined): void {
    if (port === undefined) {
        throw new Error('--port-file is given, but the server listens on no port.');
    }
    try {
        writeWhole(path, `${port}\n`);
    } catch (err) {
        throw new Error(`The port cannot be written into ${path}: ${(err as Error).message}`, { cause: err });
    }
}
