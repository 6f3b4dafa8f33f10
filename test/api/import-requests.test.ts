/** How other servers are asked on behalf of imports: headers, proxy, certificates (imports.md §1, metrics-and-extras.md §4). */
import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { assertError, at, FILE, ICON, MANIFEST, newUuid, sha1, type Answer } from '../support/api';
import { CertificateAuthority } from '../support/certificates';
import { ConnectProxy } from '../support/connect-proxy';
import { startedJob, untilEnded } from '../support/jobs';
import { bytes, json, LyingServer, type Behaviour } from '../support/lying-server';
import { DATACENTER, Registry } from '../support/registry';
import { makeFolder } from '../support/server';

const REQUEST_ID = 'a-request.of:ours_1';
const SECRET = 'the-password-of-the-proxy';

interface Seen {
    target: string;
    headers: IncomingHttpHeaders;
}

/** A repository with every image one asks for, with a file and an icon. */
function repository(seen: Seen[], fields: object = {}): Behaviour {
    return (request, response) => {
        const target = String(request.url);
        seen.push({ target, headers: request.headers });
        const [, uuid, part] = /\/images\/([^/?]+)(?:\/(\w+))?/.exec(target) ?? [];
        const manifest = {
            ...{ v: 2, uuid, ...MANIFEST, published_at: '2020-01-01T00:00:00.000Z', state: 'active' },
            ...{
                files: [{ sha1: sha1(FILE), size: FILE.length, compression: 'none' }],
                icon: true,
                ...fields,
            },
        };
        const answers: Record<string, Behaviour> = {
            file: bytes(FILE),
            icon: bytes(ICON, { 'content-type': 'image/png' }),
        };
        (answers[part ?? ''] ?? json(manifest))(request, response);
    };
}

describe('Requests to other repositories', () => {
    const seen: Seen[] = [];
    let source: LyingServer;
    /** With a certificate of its own making. */
    let secure: LyingServer;
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let registry: Registry;
    before(async () => {
        folder = await makeFolder();
        const tls = new CertificateAuthority(folder.path).selfSigned('self', 'IP:127.0.0.1');
        source = await LyingServer.start(repository(seen));
        secure = await LyingServer.start(repository(seen), { tls });
        registry = await Registry.start({ outbound: { allow: ['127.0.0.1'] } });
    });
    after(async () => {
        await registry.stop();
        await Promise.all([source.stop(), secure.stop(), folder.remove()]);
    });
    beforeEach(() => {
        seen.length = 0;
    });

    const query = (action: string, url: string) => `${action}source=${encodeURIComponent(url)}`;
    const headers = { 'x-request-id': REQUEST_ID };

    /** What every request has, and what none has. */
    function assertHeaders(client: Answer): void {
        for (const { target, headers: sent } of seen) {
            assert.equal(sent['request-id'], REQUEST_ID, target);
            assert.equal(sent['user-agent'], client.headers.server, target);
            assert.equal(sent['accept-version'], '*', target);
            assert.equal(sent.accept, 'application/json', target);
            assert.equal(sent.authorization, undefined, target);
        }
    }

    it('carry the id of the request they are made for, also when a job makes them', async () => {
        const { client } = registry;
        const uuid = newUuid();
        const url = `${source.url()}/base/path/?channel=dev`;
        const imported = await client.post(at(uuid, query('?action=import&', url)), {}, headers);
        assert.equal(imported.status, 200);
        assert.equal((await client.put(at(uuid, query('/file?', url)), '{}', headers)).status, 200);
        const other = newUuid();
        const answer = await client.post(at(other, query('?action=import-remote&', url)), {}, headers);
        assert.equal((await untilEnded(client, startedJob(answer))).execution, 'succeeded');
        assertHeaders(answer);
        const path = (image: string, rest = '') => `/base/path/images/${image}${rest}?channel=dev`;
        assert.deepEqual(
            new Set(seen.map(({ target }) => target)),
            new Set([
                path(uuid),
                path(uuid, '/file'),
                path(other),
                path(other, '/file'),
                path(other, '/icon'),
            ]),
        );
    });

    it('name the account if they are for another datacenter', async () => {
        const account = MANIFEST.owner;
        const west = await Registry.start({
            ...DATACENTER,
            authType: 'none',
            imgapiUrlFromDatacenter: { east: source.url() },
            jobs: { attempts: 1 },
        });
        try {
            const uuid = newUuid();
            const path = at(uuid, `?action=import-from-datacenter&account=${account}&datacenter=east`);
            const answer = await west.client.post(path, {}, headers);
            startedJob(answer);
            assert.equal(seen[0]?.target, `/images/${uuid}?account=${account}`);
            assertHeaders(answer);
        } finally {
            await west.stop();
        }
    });

    it('have the id that the answer has, where that of the client is none', async () => {
        const answer = await registry.client.post(
            at(newUuid(), query('?action=import&', source.url())),
            {},
            { 'x-request-id': 'caf\u00e9' },
        );
        assert.equal(answer.status, 200);
        const { 'x-request-id': id } = answer.headers;
        assert.match(String(id), /^[0-9a-f-]{36}$/);
        assert.deepEqual([seen.length, seen[0]?.headers['request-id']], [1, id]);
    });

    it('go through the proxy, whose password nobody is told', async () => {
        const proxy = await ConnectProxy.start((authority) => {
            const [host = '', port] = authority.split(':');
            return { host, port: Number(port) };
        });
        const through = await Registry.start({
            outbound: { allow: ['127.0.0.1'], connectTimeout: '300ms', answerTimeout: '300ms' },
            httpProxy: proxy.url().replace('//', `//joe:${SECRET}@`),
            allowInsecure: true,
            logLevel: 'trace',
            jobs: { attempts: 1 },
        });
        const texts: string[] = [];
        try {
            const { client } = through;
            const refused = async () => {
                for (const url of [source.url(), secure.url()]) {
                    for (const action of ['?action=import&', '?action=import-remote&']) {
                        const answer = await client.post(at(newUuid(), query(action, url)), {});
                        assertError(answer, 503, 'RemoteSourceError');
                        texts.push(answer.text);
                    }
                }
            };
            proxy.authorization = 'Basic another';
            await refused();
            proxy.silent = true;
            proxy.authorization = undefined;
            await refused();
            proxy.silent = false;
            proxy.authorization = `Basic ${Buffer.from(`joe:${SECRET}`).toString('base64')}`;
            for (const url of [source.url(), secure.url()]) {
                const uuid = newUuid();
                assert.equal((await client.post(at(uuid, query('?action=import&', url)), {})).status, 200);
                assert.equal((await client.put(at(uuid, query('/file?', url)), '{}')).status, 200);
            }
            assert.ok(proxy.requests.length >= 3, proxy.requests.join());
            assert.ok(seen.every(({ headers: sent }) => sent['proxy-authorization'] === undefined));
            const job = startedJob(
                await client.post(at(newUuid(), query('?action=import-remote&', secure.url())), {}),
            );
            const { execution, params } = await untilEnded(client, job);
            assert.deepEqual([execution, params.allowInsecure], ['succeeded', true]);
            await proxy.stop();
            await refused();
            texts.push((await client.get('/state')).text, (await client.get('/jobs')).text);
        } finally {
            await through.stop();
            await proxy.stop();
        }
        const encoded = Buffer.from(`joe:${SECRET}`).toString('base64');
        for (const text of [...texts, ...through.server.log.map((record) => JSON.stringify(record))]) {
            assert.ok(!text.includes(SECRET) && !text.includes(encoded), text);
        }
    });

    it('go nowhere without a certificate that can be verified, unless allowInsecure says otherwise', async () => {
        for (const action of ['?action=import&', '?action=import-remote&']) {
            const answer = await registry.client.post(at(newUuid(), query(action, secure.url())), {});
            assertError(answer, 503, 'RemoteSourceError');
        }
        assert.deepEqual(seen, []);
    });
});
