/** A real ssh-agent on a socket of its own. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { skip } from './skip';

const run = promisify(execFile);

export class TestAgent {
    private constructor(
        readonly socket: string,
        private readonly child: ChildProcess,
    ) {}

    /** Starts one whose socket is in the folder. Skips the tests of `context` where there is none. */
    static async start(context: Mocha.Context, folder: string): Promise<TestAgent> {
        const socket = join(folder, 'agent');
        const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'inherit'] });
        try {
            // It names its socket once it listens there.
            await Promise.race([
                once(child.stdout, 'data'),
                once(child, 'exit').then(([code]) =>
                    Promise.reject(new Error(`ssh-agent ended with ${String(code)}`)),
                ),
            ]);
        } catch (err) {
            if ((err as NodeJS.ErrnoException).code === 'ENOENT') {
                skip(context, 'ssh-agent is missing (Debian package openssh-client)');
            }
            throw err;
        }
        return new TestAgent(socket, child);
    }

    /** Runs ssh-add, with the files of keys or with options. */
    async add(options: readonly string[], environment: Record<string, string> = {}): Promise<void> {
        const env = { ...process.env, SSH_AUTH_SOCK: this.socket, ...environment };
        await run('ssh-add', ['-q', ...options], { env });
    }

    async stop(): Promise<void> {
        const ended = once(this.child, 'exit');
        this.child.kill();
        await ended;
    }
}
