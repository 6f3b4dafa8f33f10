import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { createLog, LogSink, logVerbosity } from '../../lib/log';

const logModule = join(__dirname, '../../lib/log.js');

function failing(code: string): Error {
    return Object.assign(new Error(code), { code });
}

describe('log (config.md §7)', () => {
    const folder = mkdtempSync(join(tmpdir(), 'imgapi-log-'));
    let files = 0;
    after(() => rmSync(folder, { recursive: true }));

    /** Logs to a file and gives the records written. */
    function records(
        write: (log: ReturnType<typeof createLog>) => void,
        level = 'info',
    ): Record<string, unknown>[] {
        const destination = join(folder, `${files++}.log`);
        const log = createLog({ name: 'imgapi', level, destination });
        write(log);
        log.sink.close();
        const lines = readFileSync(destination, 'utf8').split('\n');
        assert.equal(lines.pop(), '');
        return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    }

    describe('records', () => {
        it('are bunyan records, of the level and above, from children too', () => {
            const [first, second, ...rest] = records((log) => {
                log.debug('not this');
                log.info({ route: 'ping' }, 'handled: %d', 200);
                log.child({ req_id: 'r' }, true).warn('slow');
            });
            assert.deepEqual(rest, []);
            assert.deepEqual(
                { ...first, hostname: '', time: '' },
                {
                    name: 'imgapi',
                    hostname: '',
                    pid: process.pid,
                    level: 30,
                    route: 'ping',
                    msg: 'handled: 200',
                    time: '',
                    v: 0,
                },
            );
            assert.equal(new Date(String(first?.time)).toISOString(), first?.time);
            assert.deepEqual([second?.level, second?.req_id, second?.msg], [40, 'r', 'slow']);
        });

        it('tell what caused an error', () => {
            const cause = failing('ECONNREFUSED');
            const [record] = records((log) => log.error(new Error('no database', { cause }), 'cannot start'));
            const err = record?.err as Record<string, string>;
            assert.equal(err.message, 'no database');
            assert.match(err.stack ?? '', /^Error: no database\n[^]*\nCaused by: Error: ECONNREFUSED\n/);
        });

        it('hide secrets by name wherever they stand, in fields of the logger too', () => {
            const pem = '-----BEGIN EC PRIVATE KEY-----\nMHc\n';
            const [record] = records((log) =>
                log.child({ ufds: { bindPassword: 'a1' } }, true).info({
                    config: { s3: [{ secretAccessKey: 'a2' }] },
                    headers: { authorization: 'Signature a3' },
                    proxy: 'http://joe:a4@proxy',
                    key: `${pem}a5`,
                    kept: 'b1',
                }),
            );
            assert.doesNotMatch(JSON.stringify(record), /a[1-5]/);
            assert.deepEqual(record?.config, { s3: [{ secretAccessKey: '***' }] });
            assert.deepEqual([record.key, record.kept], ['***', 'b1']);
        });

        it('never fail for a field JSON has no form for, nor lose the others', () => {
            const circle: Record<string, unknown> = { password: 'secret' };
            circle.self = circle;
            const broken = {
                get inner(): never {
                    throw new Error('no value');
                },
            };
            const [record] = records((log) => log.info({ circle, broken, big: 1n, kept: true }, 'odd'));
            assert.deepEqual(record?.circle, { password: '***', self: '[Circular]' });
            assert.match(String(record.broken), /no value/);
            assert.deepEqual([record.big, record.kept, record.msg], ['1', true, 'odd']);
        });

        it('carry source positions when asked to', () => {
            const destination = join(folder, 'source.log');
            const log = createLog({ name: 'imgapi', level: 'info', source: true, destination });
            log.info('here');
            log.sink.close();
            assert.match(readFileSync(destination, 'utf8'), /"src":\{"file":"[^"]*log\.test\.js"/);
        });

        it('come from a bunyan that has not loaded its DTrace provider', () => {
            const script = `require(${JSON.stringify(logModule)});
                const loaded = Object.entries(require.cache).filter(([path, { exports }]) =>
                    path.includes('dtrace-provider') && exports !== null);
                process.exitCode = loaded.length;`;
            assert.equal(spawnSync(process.execPath, ['-e', script]).status, 0);
        });
    });

    describe('LogSink', () => {
        /** A file descriptor that answers each write as told: bytes taken, or an error. Takes all when told no more. */
        function scripted(...answers: (number | Error)[]): {
            written: string[];
            write: (fd: number, bytes: Buffer, offset: number) => number;
        } {
            const written: string[] = [];
            const write = (_fd: number, bytes: Buffer, offset: number): number => {
                const answer = answers.shift() ?? Infinity;
                if (answer instanceof Error) {
                    throw answer;
                }
                const taken = bytes.subarray(offset, offset + answer);
                written.push(taken.toString('latin1'));
                return taken.length;
            };
            return { written, write };
        }

        async function until(condition: () => boolean): Promise<void> {
            while (!condition()) {
                await turn();
            }
        }

        it('joins the lines of one turn into one write', async () => {
            const { written, write } = scripted();
            const sink = new LogSink(1, write);
            sink.writeLine('a');
            sink.writeLine('b');
            assert.deepEqual(written, []);
            await until(() => written.length > 0);
            sink.writeLine('c');
            await until(() => written.length > 1);
            sink.close();
            assert.deepEqual(written, ['a\nb\n', 'c\n']);
        });

        it('writes at once when flushed', () => {
            const { written, write } = scripted();
            const sink = new LogSink(1, write);
            sink.writeLine('a');
            sink.flush();
            assert.deepEqual(written, ['a\n']);
            sink.close();
        });

        it('goes on where a full pipe stopped it, in order, splitting characters or not', async () => {
            const full = failing('EAGAIN');
            const { written, write } = scripted(2, full, full, 1, full);
            const sink = new LogSink(1, write);
            sink.writeLine('aä');
            await until(() => written.length > 0);
            sink.writeLine('b');
            await until(() => written.join('').endsWith('b\n'));
            sink.close();
            assert.equal(Buffer.from(written.join(''), 'latin1').toString(), 'aä\nb\n');
        });

        it('waits for a full pipe when flushed', () => {
            const full = failing('EAGAIN');
            const { written, write } = scripted(full, 1, full);
            const sink = new LogSink(1, write);
            sink.writeLine('ab');
            sink.flush();
            assert.equal(written.join(''), 'ab\n');
            sink.close();
        });

        it('falls silent when the reader has gone', () => {
            const { written, write } = scripted(failing('EPIPE'));
            const sink = new LogSink(1, write);
            sink.writeLine('a');
            sink.flush();
            sink.writeLine('b');
            sink.flush();
            assert.deepEqual(written, []);
        });

        it('drops lines while the disk is full and starts a line of its own afterwards', () => {
            const { written, write } = scripted(1, failing('ENOSPC'));
            const sink = new LogSink(1, write);
            const stderr = process.stderr.write.bind(process.stderr);
            const said: string[] = [];
            process.stderr.write = (text: string | Uint8Array) => said.push(String(text)) > 0;
            try {
                sink.writeLine('ab');
                sink.flush();
            } finally {
                process.stderr.write = stderr;
            }
            sink.writeLine('cd');
            sink.close();
            assert.deepEqual(written, ['a', '\ncd\n']);
            assert.equal(said.length, 1);
            assert.match(said.join(), /ENOSPC/);
        });
    });

    describe('of a process', () => {
        const start = `const { createLog } = require(${JSON.stringify(logModule)});
            process.stdout; // makes a pipe non-blocking
            const log = createLog({ name: 'imgapi', level: 'info' });`;

        it('is whole when the process exits at once, or dies of an error', () => {
            for (const end of ['process.exit(3)', 'throw new Error("boom")']) {
                const { stdout } = spawnSync(process.execPath, [
                    '-e',
                    `${start} log.info('last words'); ${end}`,
                ]);
                assert.match(stdout.toString(), /"msg":"last words".*\n$/);
            }
        });

        it('has a fatal record before anything else happens', () => {
            const script = `${start} log.info('before'); log.fatal('end'); process.kill(process.pid, 'SIGKILL')`;
            const { stdout, signal } = spawnSync(process.execPath, ['-e', script]);
            assert.equal(signal, 'SIGKILL');
            assert.match(stdout.toString(), /"msg":"before".*\n.*"msg":"end".*\n$/);
        });

        it('loses and reorders nothing before a reader slower than the log', async () => {
            const script = `${start} let n = 0;
                (function next() {
                    for (let i = 0; i < 500; i++) log.info({ n: n++, filler: 'x'.repeat(200) });
                    if (n < 20000) setImmediate(next);
                })();`;
            const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
            const chunks: Buffer[] = [];
            for await (const chunk of child.stdout) {
                chunks.push(chunk as Buffer);
                await turn();
            }
            const lines = Buffer.concat(chunks).toString().trimEnd().split('\n');
            const numbers = lines.map((line) => (JSON.parse(line) as { n: number }).n);
            assert.deepEqual(
                numbers,
                Array.from({ length: 20_000 }, (_, n) => n),
            );
        });

        it('outlives the reader of its log', async () => {
            const script = `${start} process.stdin.once('data', () => {
                for (let i = 0; i < 3; i++) setTimeout(() => log.info('unheard'), i);
                setTimeout(() => process.exit(42), 20);
            }); log.info('ready');`;
            const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
            await once(child.stdout, 'data');
            child.stdout.destroy();
            await once(child.stdout, 'close');
            child.stdin.write('go');
            const [code] = (await once(child, 'exit')) as [number];
            assert.equal(code, 42);
        });
    });

    it('follows logLevel, and -d over it (§5)', () => {
        assert.deepEqual(logVerbosity('info', 0), { level: 'info', source: false });
        assert.deepEqual(logVerbosity('trace', 0), { level: 'trace', source: true });
        assert.deepEqual(logVerbosity(10, 0), { level: 10, source: true });
        assert.deepEqual(logVerbosity('warn', 1), { level: 'debug', source: false });
        assert.deepEqual(logVerbosity('warn', 2), { level: 'trace', source: false });
        assert.deepEqual(logVerbosity('warn', 3), { level: 'trace', source: true });
    });
});
