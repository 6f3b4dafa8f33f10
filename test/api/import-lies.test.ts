/**
 * Imports from sources that are down, slow, or lie (imports.md §1 to §4): each ends in time with the status the contract
 * gives it, nothing is left of it, and no connection stays open, counted at both ends.
 */
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { assertError, at, FILE, MANIFEST, newUuid, sha1, type Answer } from '../support/api';
import { startedJob, untilEnded } from '../support/jobs';
import * as lying from '../support/lying-server';
import { LyingServer, type Behaviour } from '../support/lying-server';
import { Registry } from '../support/registry';
import { seenImages, untilClean } from '../support/stored-images';

const config = {
    outbound: {
        allow: ['127.0.0.1'],
        connectTimeout: '300ms',
        answerTimeout: '300ms',
        idleTimeout: '300ms',
    },
    limits: { uploadSilence: 1000 },
    jobs: { retryDelay: '10ms', maxRetryDelay: '20ms', attempts: 2 },
};
/** All of these timeouts together, and what a busy machine adds. */
const WITHIN = 10_000;
/** Connections that may be used again are kept for 4 s. */
const CLOSED_WITHIN = 15_000;

describe('A source that', function () {
    this.timeout(30_000);
    let target: Registry;
    let source: LyingServer;
    let socketsBefore: number;
    before(async () => {
        target = await Registry.start(config);
        // The server's own connection to the test, which is kept.
        await target.client.get('/ping');
        socketsBefore = sockets();
        source = await LyingServer.start(lying.silent);
    });
    after(async () => {
        await source.stop();
        await target.stop();
    });

    /** The sockets of the server. */
    function sockets(): number {
        const folder = `/proc/${String(target.server.child.pid)}/fd`;
        return readdirSync(folder).filter((fd) => {
            try {
                return readlinkSync(`${folder}/${fd}`).startsWith('socket:');
            } catch {
                // Closed since.
                return false;
            }
        }).length;
    }

    const path = (uuid: string, rest: string, url = source.url()) =>
        at(uuid, `${rest}source=${encodeURIComponent(url)}`);
    const importing = (uuid: string, url?: string): Promise<Answer> =>
        target.client.post(path(uuid, '?action=import&', url), {});
    const importingRemote = (uuid: string, url?: string): Promise<Answer> =>
        target.client.post(path(uuid, '?action=import-remote&', url), {});
    const fetching = (uuid: string, url?: string): Promise<Answer> =>
        target.client.put(path(uuid, '/file?', url), '{}');

    async function timed(work: () => Promise<Answer>): Promise<Answer> {
        const begin = performance.now();
        const answer = await work();
        const took = performance.now() - begin;
        assert.ok(took < WITHIN, String(took));
        return answer;
    }

    const manifestOf = (uuid: string, fields: object = {}): Record<string, unknown> => ({
        ...{ v: 2, uuid, ...MANIFEST, published_at: '2020-01-01T00:00:00.000Z', state: 'active' },
        ...{ files: [{ sha1: sha1(FILE), size: FILE.length, compression: 'none' }] },
        ...fields,
    });

    describe('gives no manifest:', () => {
        const cases: Record<string, Behaviour> = {
            'says nothing': lying.silent,
            'hangs up': lying.hangUp,
            'speaks another protocol': lying.noHttp,
            'ends in the head': lying.cutHead,
            'ends in a chunk': lying.cutChunk,
            'sends less than it announced': lying.short,
            'stops in the middle': lying.stalled,
            'sends headers without end': lying.hugeHeaders,
            'announces without end': lying.announcing,
            'switches protocols': lying.switching,
            compresses: lying.compressed,
            redirects: lying.redirect('http://127.0.0.1:9/'),
            'sends a page': lying.bytes('<html><body>Welcome</body></html>', { 'content-type': 'text/html' }),
            'sends a page with an error': (_request, response) => {
                response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway</html>');
            },
            'sends JSON without end': lying.endless('[{"x": "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"},'),
            'sends an error without end': lying.endless('x'.repeat(1000), { status: 500 }),
            drips: lying.endless(' ', { pause: 50 }),
            'sends chunks that are none': lying.raw(
                'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n',
            ),
            'sends two lengths': lying.raw(
                'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}',
            ),
            'nests JSON deeply': lying.bytes('['.repeat(100_000)),
            'sends a list': lying.json([]),
            'sends null': lying.json(null),
            'sends an object that is no image': lying.json({}),
            'sends another image': lying.json({ uuid: newUuid(), name: 'other' }),
        };
        for (const [how, behave] of Object.entries(cases)) {
            it(how, async () => {
                source.behave = behave;
                for (const ask of [importing, importingRemote]) {
                    const uuid = newUuid();
                    assertError(await timed(() => ask(uuid)), 503, 'RemoteSourceError');
                    assert.equal((await target.client.get(at(uuid))).status, 404);
                }
            });
        }

        it('is not there at all', async () => {
            const closed = createServer().listen(0, '127.0.0.1');
            await once(closed, 'listening');
            const url = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
            closed.close();
            for (const ask of [importing, importingRemote]) {
                assertError(await timed(() => ask(newUuid(), url)), 503, 'RemoteSourceError');
            }
        });
    });

    describe('gives a manifest that breaks the rules:', () => {
        const cases: [what: string, fields: object, status: number, code: string, ...errors: string[]][] = [
            ['no name', { name: undefined }, 422, 'ValidationFailed', 'name:MissingParameter'],
            ['a date that is none', { published_at: 7 }, 422, 'InvalidParameter', 'published_at:Invalid'],
            ['an origin that is none', { origin: 'x' }, 422, 'ValidationFailed', 'origin:Invalid'],
        ];
        for (const [what, fields, status, code, ...errors] of cases) {
            it(what, async () => {
                const uuid = newUuid();
                source.behave = lying.json(manifestOf(uuid, fields));
                assertError(await importing(uuid), status, code, ...errors);
                assert.equal((await target.client.get(at(uuid))).status, 404);
            });
        }

        it('fields that nobody knows here are left out, and logged', async () => {
            const uuid = newUuid();
            source.behave = lying.json(manifestOf(uuid, { novelty: { a: 1 }, x_other: 2 }));
            const { manifest } = await importing(uuid);
            assert.equal(manifest.novelty, undefined);
            const { fields } = await target.server.logged(({ image_uuid }) => image_uuid === uuid);
            assert.deepEqual(fields, ['novelty', 'x_other']);
        });

        it('an origin that is none ends the search for origins', async () => {
            const uuid = newUuid();
            source.behave = lying.json(manifestOf(uuid, { origin: '../../etc' }));
            assertError(await importingRemote(uuid), 503, 'RemoteSourceError');
        });
    });

    it('names origins without end, or in a circle, is not followed for ever', async () => {
        const first = newUuid();
        source.behave = (request, response) => {
            const uuid = String(request.url).split('/').at(-1) ?? '';
            lying.json(manifestOf(uuid, { origin: newUuid() }))(request, response);
        };
        const before = source.requests.length;
        assertError(await timed(() => importingRemote(first)), 503, 'RemoteSourceError');
        assert.equal(source.requests.length - before, 101);

        const second = newUuid();
        source.behave = (request, response) => {
            const uuid = String(request.url).split('/').at(-1) ?? '';
            lying.json(manifestOf(uuid, { origin: uuid === first ? second : first }))(request, response);
        };
        assertError(await timed(() => importingRemote(first)), 503, 'RemoteSourceError');
    });

    describe('gives a file that is not the one:', () => {
        type Case = [what: string, files: unknown, behave: Behaviour, status: number, code: string];
        const good = { sha1: sha1(FILE), size: FILE.length, compression: 'none' };
        const cases: Case[] = [
            ['has none', [], lying.bytes(FILE), 503, 'RemoteSourceError'],
            ['has three', [good, good, good], lying.bytes(FILE), 503, 'RemoteSourceError'],
            ['does not say its hash', [{ ...good, sha1: 'x' }], lying.bytes(FILE), 503, 'RemoteSourceError'],
            ['does not say its size', [{ ...good, size: '5' }], lying.bytes(FILE), 503, 'RemoteSourceError'],
            [
                'compresses as nobody does',
                [{ ...good, compression: 'rar' }],
                lying.bytes(FILE),
                503,
                'RemoteSourceError',
            ],
            [
                'says that it is larger than 20 GiB',
                [{ ...good, size: 21 * 1024 ** 3 }],
                lying.bytes(FILE),
                400,
                'Download',
            ],
            ['has another hash', [good], lying.bytes(Buffer.alloc(FILE.length)), 400, 'Download'],
            ['is shorter', [good], lying.bytes(FILE.subarray(1)), 400, 'Download'],
            ['is longer', [good], lying.bytes(Buffer.concat([FILE, FILE])), 400, 'Download'],
            ['is empty', [good], lying.bytes(''), 400, 'Download'],
            [
                'is empty, and said to be',
                [{ ...good, size: 0, sha1: sha1('') }],
                lying.bytes(''),
                400,
                'Download',
            ],
            ['does not end', [good], lying.endless('x'.repeat(100)), 400, 'Download'],
            ['ends too early', [{ ...good, size: 1000 }], lying.short, 503, 'RemoteSourceError'],
            ['stops', [{ ...good, size: 1000 }], lying.stalled, 503, 'RemoteSourceError'],
            ['drips', [{ ...good, size: 1000 }], lying.endless('x', { pause: 50 }), 503, 'RemoteSourceError'],
            ['ends in a chunk', [good], lying.cutChunk, 503, 'RemoteSourceError'],
            ['comes compressed', [good], lying.compressed, 503, 'RemoteSourceError'],
            ['is somewhere else', [good], lying.redirect('https://example.com/'), 503, 'RemoteSourceError'],
            [
                'is not given',
                [good],
                lying.json({ code: 'ResourceNotFound', message: 'no file' }, 404),
                503,
                'RemoteSourceError',
            ],
            ['is a page with an error', [good], lying.json('<html>', 500), 503, 'RemoteSourceError'],
            ['does not come', [good], lying.silent, 503, 'RemoteSourceError'],
        ];
        for (const [what, files, behave, status, code] of cases) {
            it(what, async () => {
                const uuid = newUuid();
                source.behave = (request, response) => {
                    if (String(request.url).endsWith('/file')) {
                        behave(request, response);
                    } else {
                        lying.json(manifestOf(uuid, { files }))(request, response);
                    }
                };
                await importing(uuid);
                const before = await target.snapshot(uuid);
                assertError(await timed(() => fetching(uuid)), status, code);
                assert.deepEqual(await target.snapshot(uuid), before);

                await target.client.delete(at(uuid));
                const job = await untilEnded(target.client, startedJob(await importingRemote(uuid)), WITHIN);
                assert.equal(job.execution, 'failed');
                const { name, error } = job.chain_results.at(-1) ?? {};
                assert.equal(name, 'add_image_file');
                assert.equal(typeof error === 'object' && error.code, code, JSON.stringify(error));
                assert.equal((await target.client.get(at(uuid))).status, 404);
            });
        }
    });

    describe('did all that', () => {
        it('has left no file and no connection', async () => {
            await untilClean(target.dataDir, await seenImages(target.client), WITHIN);
            const end = Date.now() + CLOSED_WITHIN;
            while (source.open > 0 || sockets() > socketsBefore) {
                assert.ok(
                    Date.now() < end,
                    `open: ${source.open} at the source, ${sockets() - socketsBefore} here`,
                );
                await wait(50);
            }
        });
    });
});
