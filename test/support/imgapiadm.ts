/** The operator's programs, as processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { runAdmin } from '../../lib/admin/main';
import type { Terminal } from '../../lib/admin/output';
import type { TestServer } from './server';

const BIN = resolve(__dirname, '../../bin');

export interface Outcome {
    code: number | null;
    out: string;
    err: string;
}

/** Runs one to its end. */
export async function runProgram(
    name: string,
    args: readonly string[],
    environment: Record<string, string> = {},
): Promise<Outcome> {
    const child = spawn(process.execPath, [join(BIN, name), ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
            ...process.env,
            IMGAPI_CLI_USER: '',
            IMGAPI_CLI_IDENTITY: '',
            SSH_AUTH_SOCK: '',
            HOST: '',
            PORT: '',
            ...environment,
        },
    });
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: child.exitCode, out, err };
}

/** What is printed on it is kept. */
export class Page implements Terminal {
    readonly #printed: Buffer[] = [];

    get text(): string {
        return Buffer.concat(this.#printed).toString();
    }

    write(chunk: string | Uint8Array, ...more: unknown[]): boolean {
        // The memory may be used again.
        this.#printed.push(Buffer.from(chunk as string));
        const done = more.at(-1);
        if (typeof done === 'function') {
            (done as () => void)();
        }
        return true;
    }
}

/** `imgapiadm` with a configuration of its own. */
export class Imgapiadm {
    private constructor(readonly file: string) {}

    /** @param config by default that of a server that asks for no signatures */
    static async with(folder: string, config: Record<string, unknown>): Promise<Imgapiadm> {
        const file = join(folder, 'imgapiadm.config.json');
        await writeFile(file, JSON.stringify({ authType: 'none', ...config }));
        return new Imgapiadm(file);
    }

    /** The configuration that a running server has, its port included. */
    static async for(
        server: TestServer,
        folder: string,
        config: Record<string, unknown> = {},
    ): Promise<Imgapiadm> {
        const port = Number(new URL(server.url).port);
        return Imgapiadm.with(folder, { port, dataDir: server.dataDir, ...config });
    }

    /** Runs a command in this process, which takes a tenth of the time of one of its own. */
    async run(...args: readonly string[]): Promise<Outcome> {
        const [out, err] = [new Page(), new Page()];
        const argv = ['-f', this.file, ...args];
        const code = await runAdmin({ argv, environment: {}, stdout: out, stderr: err });
        return { code, out: out.text, err: err.text };
    }

    /** Runs a command as a process, with these variables of the environment. */
    runWith(environment: Record<string, string>, ...args: readonly string[]): Promise<Outcome> {
        return runProgram('imgapiadm', ['-f', this.file, ...args], environment);
    }
}
