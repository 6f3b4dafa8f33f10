/** `imgapi-sign` as a shell runs it. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, dirname, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';

const BIN = resolve(__dirname, '../../bin');

interface Outcome {
    code: number | null;
    stdout: string;
    stderr: string;
}

/** The command for a user alice with this home folder, without an ssh-agent. */
export class SignCommand {
    constructor(private readonly home: string) {}

    environment(more: Record<string, string> = {}): Record<string, string | undefined> {
        return {
            ...process.env,
            PATH: [BIN, dirname(process.execPath), process.env.PATH].join(delimiter),
            HOME: this.home,
            SSH_AUTH_SOCK: '',
            IMGAPI_CLI_USER: 'alice',
            IMGAPI_CLI_IDENTITY: '',
            ...more,
        };
    }

    async run(
        args: readonly string[],
        more: Record<string, string> = {},
        input: Iterable<Buffer | string> = [],
    ): Promise<Outcome> {
        const child = spawn('imgapi-sign', args, { env: this.environment(more) });
        const ended = once(child, 'exit');
        for (const chunk of input) {
            if (!child.stdin.write(chunk)) {
                await once(child.stdin, 'drain');
            }
        }
        child.stdin.end();
        const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
        await ended;
        return { code: child.exitCode, stdout, stderr };
    }

    /** What bash gives that runs the script, in which `imgapi-sign` is a command. */
    async shell(script: string, more: Record<string, string>): Promise<string> {
        const { stdout } = await promisify(execFile)('bash', ['-c', script], { env: this.environment(more) });
        return stdout;
    }

    /** It fails with one line. */
    async assertRefuses(
        args: readonly string[],
        code: number,
        message: RegExp,
        more?: Record<string, string>,
    ): Promise<void> {
        const outcome = await this.run(args, more);
        assert.deepEqual([outcome.code, outcome.stdout], [code, ''], outcome.stderr);
        const [line = '', hint, ...rest] = outcome.stderr.trimEnd().split('\n');
        assert.match(line, /^imgapi-sign: /);
        assert.match(line, message);
        assert.equal(hint, code === 1 ? 'Run "imgapi-sign --help" for its options.' : undefined);
        assert.deepEqual(rest, []);
    }
}
