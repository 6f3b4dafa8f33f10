import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Logger from 'bunyan';
import { directConnector } from '../../lib/imports/connect';
import { Targets } from '../../lib/imports/targets';
import { forbiddenUrls } from '../support/forbidden-urls';
import { json, LyingServer, redirect } from '../support/lying-server';
import {
    assertRefused,
    call,
    closeRemotes,
    configOf,
    drain,
    failure,
    refusal,
    resolverOf,
    testRemotes,
    watchConnects,
    type Hosts,
} from '../support/remotes';

const UUID = '0c5e3a9e-3f1a-4f0f-9a53-5d1c0b1c5a10';
const MANIFEST = { uuid: UUID, name: 'image' };

/** Takes connections to every address of this machine, and never answers. */
class Listener {
    readonly connections: Socket[] = [];
    bytes = 0;
    readonly #server: Server;

    private constructor() {
        this.#server = createServer((socket) => {
            this.connections.push(socket);
            socket.on('error', () => undefined).on('data', (data) => (this.bytes += data.length));
        });
    }

    static async start(): Promise<Listener> {
        const listener = new Listener();
        // Both families at once where the machine has both.
        listener.#server.listen(0);
        await once(listener.#server, 'listening');
        return listener;
    }

    get port(): number {
        return (this.#server.address() as AddressInfo).port;
    }

    async stop(): Promise<void> {
        this.#server.close();
        this.connections.forEach((socket) => socket.destroy());
        if (this.#server.listening) {
            await once(this.#server, 'close');
        }
    }
}

describe('where imports connect to', () => {
    let listener: Listener;
    let connects: ReturnType<typeof watchConnects>;

    before(async () => {
        listener = await Listener.start();
    });
    beforeEach(() => {
        listener.connections.length = 0;
        listener.bytes = 0;
        connects = watchConnects();
    });
    afterEach(async () => {
        connects.stop();
        await closeRemotes();
    });
    after(() => listener.stop());

    function assertNoConnection(): void {
        assert.equal(listener.connections.length, 0, 'the listener saw a connection');
        assert.equal(connects.count, 0, 'a connection was begun');
    }

    it('is measured by listeners that do see connections', async () => {
        const remotes = testRemotes({ outbound: { deny: [], answerTimeout: '100ms' } });
        for (const host of ['127.0.0.1', '127.0.0.2', '0.0.0.0', '[::ffff:127.0.0.1]']) {
            await failure(() => remotes.repository(`http://${host}:${listener.port}`).getImage(UUID, call()));
        }
        assert.equal(listener.connections.length, 4);
        assert.equal(connects.count, 4);
    });

    describe('with the default configuration', () => {
        const urls = forbiddenUrls(1);
        it('has a list of at least 40 URLs to refuse', () => assert(urls.length >= 40));

        urls.forEach((_url, index) => {
            it(`refuses ${JSON.stringify(_url).slice(0, 80)} without a connection`, async () => {
                const url = forbiddenUrls(listener.port)[index] ?? '';
                const remotes = testRemotes();
                await refusal(() => remotes.repository(url).getImage(UUID, call()));
                await refusal(() => remotes.download(url, call()));
                await refusal(() => remotes.download(url.replace(/http:/i, 'https:'), call()));
                assertNoConnection();
            });
        });

        it('downloads by https only', async () => {
            const remotes = testRemotes({ outbound: { deny: [] } });
            await refusal(() => remotes.download(`http://127.0.0.1:${listener.port}/`, call()));
            assertNoConnection();
        });
    });

    describe('when a host name has several meanings', () => {
        const PUBLIC = '192.88.98.1';
        const names: Record<string, readonly string[]> = {
            loopback: ['127.0.0.1'],
            'loopback as IPv6': ['::1'],
            'IPv4 in IPv6': ['::ffff:127.0.0.1'],
            NAT64: ['64:ff9b::7f00:1'],
            '6to4': ['2002:7f00:1::'],
            metadata: ['169.254.169.254'],
            private: ['10.1.2.3'],
            'link-local with a zone': ['fe80::1%eth0'],
            'good, then bad': [PUBLIC, '127.0.0.1'],
            'bad, then good': ['127.0.0.1', PUBLIC],
            'good IPv4, bad IPv6': [PUBLIC, '::1'],
            'no address at all': ['localhost'],
        };
        for (const [meaning, addresses] of Object.entries(names)) {
            it(`refuses a name that means ${meaning}`, async () => {
                const records: object[] = [];
                const remotes = testRemotes({}, { hosts: { 'images.example.com': addresses }, records });
                for (const scheme of ['http', 'https']) {
                    const url = `${scheme}://images.example.com:${listener.port}/`;
                    const { message } = await refusal(() => remotes.repository(url).getImage(UUID, call()));
                    for (const address of addresses) {
                        assert(!message.includes(address), message);
                    }
                }
                await refusal(() => remotes.download(`https://images.example.com:${listener.port}/`, call()));
                assertNoConnection();
                // The operator is told what the client is not.
                assert.equal(records.length, 3);
            });
        }

        it('refuses it with a dot at its end and in capitals as well', async () => {
            const hosts = { 'images.example.com': ['127.0.0.1'] };
            const remotes = testRemotes({}, { hosts });
            for (const host of ['images.example.com.', 'IMAGES.example.COM']) {
                const url = `http://${host}:${listener.port}/`;
                await refusal(() => remotes.repository(url).getImage(UUID, call()));
            }
            assertNoConnection();
        });

        it('asks no name server about names under localhost', async () => {
            const hosts: Hosts = {
                localhost: () => assert.fail('asked'),
                'a.localhost': () => assert.fail('asked'),
            };
            const remotes = testRemotes({}, { hosts });
            for (const host of ['localhost', 'a.localhost', 'a.localhost.']) {
                await refusal(() => remotes.repository(`http://${host}/`));
            }
        });
    });

    describe('when a name changes its meaning between two looks', () => {
        // 127.0.0.2 stands for what is forbidden, so that the allowed address can be listened on.
        const deny = ['127.0.0.2'];
        let server: LyingServer;

        beforeEach(async () => {
            server = await LyingServer.start(json(MANIFEST));
        });
        afterEach(() => server.stop());

        it('resolves once for a connection, and connects to what was judged', async () => {
            let looks = 0;
            const hosts: Hosts = {
                'rebind.example.com': async () => (++looks === 1 ? ['127.0.0.1'] : ['127.0.0.2']),
            };
            const remotes = testRemotes({ outbound: { deny } }, { hosts });
            const repository = remotes.repository(`http://rebind.example.com:${server.port}`);
            assert.deepEqual(await repository.getImage(UUID, call()), MANIFEST);
            assert.equal(looks, 1);
            assert.equal(server.connections, 1);
        });

        it('judges again for the next connection', async () => {
            const answers = [['127.0.0.1'], ['127.0.0.2']];
            const hosts: Hosts = { 'rebind.example.com': async () => answers.shift() ?? [] };
            const remotes = testRemotes({ outbound: { deny } }, { hosts });
            server.behave = (_request, response) => {
                response.setHeader('connection', 'close');
                json(MANIFEST)(_request, response);
            };
            const repository = remotes.repository(`http://rebind.example.com:${server.port}`);
            await repository.getImage(UUID, call());
            await refusal(() => repository.getImage(UUID, call()));
            assert.equal(server.connections, 1);
            assert.equal(connects.count, 1);
        });

        it('is judged where connections are made, not only where URLs are read', async () => {
            const log = Logger.createLogger({ name: 'test', streams: [] });
            const targets = new Targets(configOf({}), log, resolverOf({ name: ['127.0.0.1'] }));
            const connector = directConnector({ targets, timeout: 1000, verify: true });
            for (const hostname of ['127.0.0.1', '::1', '::ffff:7f00:1', 'localhost', 'name', 'name.']) {
                const err = await new Promise((resolve) =>
                    connector({ hostname, protocol: 'http:', port: String(listener.port) }, (...[result]) =>
                        resolve(result),
                    ),
                );
                assertRefused(err);
            }
            assertNoConnection();
        });

        it('says nothing over a connection that leads elsewhere than what was judged', async () => {
            // No resolver can bring this about; routing that changes under a socket is what this stands for.
            const targets = {
                trusts: () => false,
                judgeLiteral: () => undefined,
                addressesOf: async () => [{ address: '127.0.0.2', family: 4 }],
                permits: (address: string) => address !== '127.0.0.2',
            } as unknown as Targets;
            const connector = directConnector({ targets, timeout: 1000, verify: true });
            const { port } = listener;
            for (const protocol of ['http:', 'https:']) {
                const err = await new Promise((resolve) =>
                    connector(
                        { hostname: 'images.example.com', protocol, port: String(port) },
                        (...[result]) => resolve(result),
                    ),
                );
                assertRefused(err);
            }
            for (const socket of listener.connections.filter(({ destroyed }) => !destroyed)) {
                await once(socket, 'close');
            }
            assert.equal(listener.connections.length, 2);
            assert.equal(listener.bytes, 0);
        });
    });

    describe('when a server redirects', () => {
        for (const status of [301, 302, 303, 307, 308]) {
            it(`does not follow ${status}, wherever it leads`, async () => {
                const target = `http://127.0.0.2:${listener.port}/images/${UUID}`;
                const server = await LyingServer.start(redirect(target, status));
                const chain = await LyingServer.start(redirect(server.url(), status));
                try {
                    const remotes = testRemotes({ outbound: { allow: ['127.0.0.1'] } });
                    const repository = remotes.repository(chain.url());
                    for (const run of [
                        () => repository.getImage(UUID, call()),
                        () => repository.getFile(UUID, 0, call()),
                        () => repository.getIcon(UUID, call()),
                    ]) {
                        const err = await failure(run);
                        assert.equal(err.status, status);
                        assert.match(err.message, /redirect.*not followed/);
                    }
                    assert.equal(server.connections, 0);
                    assert.equal(listener.connections.length, 0);
                } finally {
                    await chain.stop();
                    await server.stop();
                }
            });
        }
    });

    describe('with outbound.allow', () => {
        let server: LyingServer;

        beforeEach(async () => {
            server = await LyingServer.start(json(MANIFEST));
        });
        afterEach(() => server.stop());

        const hosts = { 'images.example.com': ['127.0.0.1'], 'other.example.com': ['127.0.0.1'] };

        /** Whether the server is reached under this host. */
        async function reaches(settings: Record<string, unknown>, host: string): Promise<boolean> {
            const { port, connections } = server;
            const remotes = testRemotes(settings, { hosts });
            try {
                await remotes.repository(`http://${host}:${port}`).getImage(UUID, call());
                return true;
            } catch (err) {
                assertRefused(err);
                assert.equal(server.connections, connections);
                return false;
            }
        }

        const cases: [what: string, entry: (port: number) => string, opens: string[], keeps: string[]][] = [
            [
                'an address',
                () => '127.0.0.1',
                ['127.0.0.1', 'images.example.com', '2130706433'],
                ['127.0.0.2'],
            ],
            ['a range', () => '127.0.0.0/8', ['127.0.0.1', 'images.example.com'], ['[::1]', '10.0.0.1']],
            [
                'a host',
                () => 'images.example.com',
                ['images.example.com', 'IMAGES.example.com.'],
                ['127.0.0.1'],
            ],
            [
                'a host and port',
                (port) => `images.example.com:${port}`,
                ['images.example.com'],
                ['other.example.com', '127.0.0.1'],
            ],
            ['another port', (port) => `images.example.com:${port + 1}`, [], ['images.example.com']],
            [
                'an origin',
                (port) => `http://images.example.com:${port}`,
                ['images.example.com'],
                ['127.0.0.1'],
            ],
            ['an origin of another port', () => 'https://images.example.com', [], ['images.example.com']],
            [
                'an address and port',
                (port) => `127.0.0.1:${port}`,
                ['127.0.0.1', '127.1'],
                ['images.example.com'],
            ],
            ['localhost', () => 'localhost', ['localhost', 'LOCALHOST.'], ['127.0.0.1', 'a.localhost']],
        ];
        for (const [what, entry, opens, keeps] of cases) {
            it(`opens ${what} and nothing else`, async () => {
                const outbound = { allow: [entry(server.port)] };
                // The name localhost is resolved by whoever resolves all others.
                Object.assign(hosts, { localhost: ['127.0.0.1'] });
                for (const host of opens) {
                    assert(await reaches({ outbound }, host), host);
                }
                for (const host of keeps) {
                    assert(!(await reaches({ outbound }, host)), host);
                }
            });
        }

        it('opens other datacenters in mode dc only, and no service of this one', async () => {
            const url = `http://images.example.com:${server.port}`;
            const ufds = { url: 'ldaps://ufds', bindDN: 'cn=root', bindPassword: 'secret' };
            const wfapi = { url: 'http://wfapi.example.com', workflows: [] };
            const dc = { mode: 'dc', datacenterName: 'east', ufds, wfapi };
            const others = { imgapiUrlFromDatacenter: { west: url } };
            assert(await reaches({ ...dc, ...others }, 'images.example.com'));
            assert(!(await reaches({ ...dc, ...others }, 'other.example.com')));
            assert(!(await reaches(others, 'images.example.com')));
            for (const services of [
                { vmapi: { url } },
                { cnapi: { url } },
                { wfapi: { url, workflows: [] } },
                { ufds: { ...ufds, url: url.replace('http', 'ldap') } },
            ]) {
                assert(!(await reaches({ ...dc, ...services }, 'images.example.com')));
            }
        });

        it('judges by outbound.deny alone where that is given', async () => {
            assert(await reaches({ outbound: { deny: ['10.0.0.0/8'] } }, '127.0.0.1'));
            assert(!(await reaches({ outbound: { deny: ['127.0.0.1'] } }, '[::ffff:127.0.0.1]')));
        });
    });

    it('keeps connections open for the next request to the same origin', async () => {
        const server = await LyingServer.start(json(MANIFEST));
        try {
            const remotes = testRemotes({ outbound: { allow: ['127.0.0.1'] } });
            const repository = remotes.repository(server.url());
            // A connection is given back in the turn after the one in which its answer ended.
            await repository.getImage(UUID, call());
            await nextTurn();
            await drain((await repository.getIcon(UUID, call())).body);
            await nextTurn();
            await repository.getImage(UUID, call());
            assert.equal(server.connections, 1);
        } finally {
            await server.stop();
        }
    });

    it('opens no more connections to one origin than maxSockets', async () => {
        const server = await LyingServer.start(json(MANIFEST));
        try {
            const remotes = testRemotes({ maxSockets: 2, outbound: { allow: ['127.0.0.1'] } });
            const repository = remotes.repository(server.url());
            await Promise.all(Array.from({ length: 10 }, () => repository.getImage(UUID, call())));
            assert.equal(server.connections, 2);
        } finally {
            await server.stop();
        }
    });
});
