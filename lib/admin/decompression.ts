/** Tests of compressed bytes, by the programs that would decompress them. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

const FORMATS = [
    { program: 'gzip', magic: Buffer.from([0x1f, 0x8b]) },
    { program: 'bzip2', magic: Buffer.from('BZh') },
    { program: 'xz', magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) },
] as const;

export type Decompressor = (typeof FORMATS)[number]['program'];

/** Characters of what a program says that are kept. */
const MOST_SAID = 4096;

/** What would decompress bytes that begin like this; undefined if they are not compressed. */
export function decompressorFor(beginning: Buffer): Decompressor | undefined {
    return FORMATS.find(({ magic }) => beginning.subarray(0, magic.length).equals(magic))?.program;
}

/** What became of a test. */
export type Verdict =
    { readonly kind: 'good' | 'missing' } | { readonly kind: 'damaged'; readonly reason: string };

/** One test: all bytes are written to it, then it is asked what came of them. */
export class DecompressionTest {
    readonly #child: ChildProcessByStdio<Writable, null, Readable>;
    readonly #ended: Promise<number | 'missing'>;
    #said = '';
    #takes = true;

    /** @param signal ends it: what comes of it then is not to be used */
    constructor(
        private readonly program: Decompressor,
        signal: AbortSignal,
    ) {
        this.#child = spawn(program, ['-t'], {
            stdio: ['pipe', 'ignore', 'pipe'],
            signal,
            killSignal: 'SIGKILL',
        });
        this.#ended = new Promise((resolve) => {
            this.#child.once('error', () => resolve('missing'));
            this.#child.once('close', (code) => resolve(code ?? -1));
        });
        // It stops reading when it has seen enough.
        this.#child.stdin.on('error', () => (this.#takes = false));
        this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
            this.#said = (this.#said + text).slice(0, MOST_SAID);
        });
    }

    /** The memory may be used again when this resolves. */
    async write(chunk: Buffer): Promise<void> {
        if (this.#takes) {
            await new Promise<void>((resolve) => this.#child.stdin.write(chunk, () => resolve()));
        }
    }

    async verdict(): Promise<Verdict> {
        this.#child.stdin.end();
        const code = await this.#ended;
        if (code === 'missing') {
            return { kind: 'missing' };
        }
        if (code === 0) {
            return { kind: 'good' };
        }
        const [said = ''] = this.#said
            .split('\n')
            .map((line) => line.replace(/^\S+: (?:\(?std ?in\)?: )?/, '').trim())
            .filter(Boolean);
        return {
            kind: 'damaged',
            reason: `${this.program} cannot decompress it (${said || `exit code ${code}`})`,
        };
    }

    /** Ends the test; nobody wants to know any more. */
    async stop(): Promise<void> {
        if (
            this.#child.exitCode === null &&
            this.#child.signalCode === null &&
            this.#child.pid !== undefined
        ) {
            this.#child.kill('SIGKILL');
            await once(this.#child, 'close');
        }
    }
}
