/** HTTPS by the server itself: certificates, their reload, and those of clients (daemon.md §1 and §5). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { at, MANIFEST } from '../support/api';
import { CertificateAuthority, type Certificate } from '../support/certificates';
import { signedHeaders } from '../support/keys';
import { testKeys } from '../support/registry';
import { RawConnection } from '../support/raw-connection';
import { makeFolder, TestServer } from '../support/server';
import { credentials } from '../support/signed';

interface Asked {
    method?: string;
    path?: string;
    headers?: Record<string, string>;
    body?: string;
    /** The client's. */
    certificate?: Certificate | undefined;
    agent?: https.Agent;
}

interface TlsAnswer {
    status: number;
    json: unknown;
    /** Common name of the server's certificate. */
    server: string;
}

describe('HTTPS', function () {
    this.timeout(60_000);
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let authority: CertificateAuthority;

    before(async () => {
        folder = await makeFolder();
        authority = new CertificateAuthority(folder.path);
    });
    after(() => folder.remove());

    const path = (name: string): string => join(folder.path, name);

    /** One request; rejects if there is no connection by TLS. */
    function ask(
        url: string,
        { method = 'GET', path: target = '/ping', headers = {}, body, certificate, agent }: Asked = {},
    ): Promise<TlsAnswer> {
        return new Promise((resolve, reject) => {
            https
                .request(url + target, {
                    method,
                    headers: {
                        ...(body !== undefined && { 'content-type': 'application/json' }),
                        ...headers,
                    },
                    ca: authority.cert,
                    agent: agent ?? false,
                    ...(certificate && { cert: certificate.cert, key: certificate.key }),
                })
                .once('error', reject)
                .once('response', (res) => {
                    const socket: unknown = res.socket;
                    const server = (socket as TLSSocket).getPeerCertificate().subject.CN;
                    let text = '';
                    res.on('data', (chunk: Buffer) => (text += chunk.toString())).once('end', () =>
                        resolve({
                            status: res.statusCode ?? 0,
                            json: text === '' ? undefined : JSON.parse(text),
                            server: String(server),
                        }),
                    );
                })
                .end(body);
        });
    }

    async function start(config: Record<string, unknown>): Promise<TestServer> {
        const { tls, ...others } = config;
        const server = await TestServer.start({
            config: {
                listen: { schemes: ['https'] },
                tls: { port: 0, host: '127.0.0.1', ...(tls as object) },
                ...others,
            },
        });
        await server.logged(({ msg }) => msg === 'startup complete');
        return server;
    }

    for (const workers of [1, 2]) {
        const who = workers === 1 ? 'one process' : 'workers';

        it(`takes new certificates on SIGHUP, keeps connections, and stays with the old ones if the new are broken: ${who}`, async () => {
            const [one, two] = ['one', 'two'].map((name) => authority.issue(name, 'IP:127.0.0.1'));
            assert(one && two);
            const pem = path(`server${workers}.pem`);
            writeFileSync(pem, one.cert + one.key);
            const server = await start({ tls: { certificate: pem }, cluster: { workers } });
            // A connection is the oldest worker's, who leaves some seconds after the new one has come.
            const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
            try {
                assert.equal((await ask(server.url)).server, 'one');
                await ask(server.url, { agent });

                const told = (about: RegExp) => server.logged(({ msg }) => about.test(msg));
                writeFileSync(pem, 'nothing of use');
                server.child.kill('SIGHUP');
                const { err } = await told(/cannot be used/);
                assert.match(
                    (err as Error).message,
                    /^config\.tls\.certificate is ".*", which has no certificate/,
                );
                assert.equal((await ask(server.url)).server, 'one');

                writeFileSync(pem, two.cert + two.key);
                server.child.kill('SIGHUP');
                await told(
                    workers === 1 ? /new connections get the certificates/ : /^the workers are replaced/,
                );
                assert.equal((await ask(server.url)).server, 'two');
                if (workers === 1) {
                    assert.equal(
                        (await ask(server.url, { agent })).server,
                        'one',
                        'the connection is still there',
                    );
                } else {
                    assert.equal((await ask(server.url, { agent })).status, 200);
                }
                assert.doesNotMatch(JSON.stringify(server.log), /PRIVATE KEY/);
            } finally {
                agent.destroy();
                await server.stop();
            }
        });
    }

    it('speaks TLS 1.2 and 1.3, nothing older, and plain HTTP not at all', async () => {
        const { certFile, keyFile } = authority.issue('modern', 'IP:127.0.0.1');
        const server = await start({ tls: { certificate: certFile, key: keyFile } });
        try {
            const handshake = async (version: SecureVersion): Promise<string | null> => {
                const socket = connect({
                    host: '127.0.0.1',
                    port: Number(new URL(server.url).port),
                    ca: authority.cert,
                    minVersion: version,
                    maxVersion: version,
                    ciphers: 'DEFAULT@SECLEVEL=0',
                });
                try {
                    await once(socket, 'secureConnect');
                    return socket.getProtocol();
                } finally {
                    socket.destroy();
                }
            };
            assert.equal(await handshake('TLSv1.2'), 'TLSv1.2');
            assert.equal(await handshake('TLSv1.3'), 'TLSv1.3');
            await assert.rejects(handshake('TLSv1.1'));
            await assert.rejects(fetch(server.url.replace('https', 'http')));
            await server.logged(({ msg }) => msg === 'a connection by TLS was refused');
            assert.equal((await ask(server.url)).status, 200);
        } finally {
            await server.stop();
        }
    });

    it('lets go at once of who leaves in the middle of a handshake, and not of who only has nothing more to ask', async () => {
        const { certFile, keyFile } = authority.issue('leaving', 'IP:127.0.0.1');
        const server = await start({
            tls: { certificate: certFile, key: keyFile },
            // Longer than this test may take.
            limits: { headerTimeout: '5m' },
        });
        try {
            for (const begin of ['', '\x16\x03\x01\x02\x00\x01']) {
                const leaving = await RawConnection.open(server.url);
                leaving.socket.end(begin, 'latin1');
                assert.equal(await leaving.closed, '');
            }
            const { hostname: host, port } = new URL(server.url);
            const socket = connect({ host, port: Number(port), ca: authority.cert });
            socket.end('GET /ping HTTP/1.1\r\nHost: a\r\n\r\n');
            assert.match(await text(socket), /^HTTP\/1\.1 200 OK\r\n/);
        } finally {
            await server.stop();
        }
    });

    for (const [what, tls, message] of [
        [
            'a certificate that is not there',
            () => ({ certificate: path('none.pem') }),
            /config\.tls\.certificate is ".*none\.pem", which cannot be read: there is no such file/,
        ],
        ['a folder', () => ({ certificate: folder.path }), /which cannot be read: it is a folder/],
        [
            'a certificate without its key',
            () => ({ certificate: authority.certFile }),
            /config\.tls\.certificate is ".*", which has no private key in PEM in it/,
        ],
        [
            'the key of another certificate',
            () => ({ certificate: authority.certFile, key: authority.issue('other', 'DNS:x').keyFile }),
            /config\.tls\.key is ".*", whose private key is not usable with the certificate in "/,
        ],
        [
            'a key without a certificate',
            () => ({ key: '/k' }),
            /config\.tls\.certificate is missing; config\.tls\.key is given/,
        ],
        [
            'authorities that are none',
            () => ({ clientCa: __filename }),
            /config\.tls\.clientCa is ".*", which has no certificate in PEM/,
        ],
    ] as const) {
        it(`does not start with ${what}, and says so in a sentence`, async () => {
            await assert.rejects(start({ tls: tls() }), (err: Error) => {
                assert.match(err.message, /ended with code 2/);
                assert.match(err.message.replaceAll('\\"', '"'), message);
                return true;
            });
        });
    }

    for (const workers of [1, 2]) {
        it(`has a limit of its own to the requests under way, which others do not notice: ${workers === 1 ? 'one process' : 'workers'}`, async () => {
            const { certFile, keyFile } = authority.issue(`limited${workers}`, 'IP:127.0.0.1');
            const server = await start({
                listen: { schemes: ['https', 'http'] },
                tls: { certificate: certFile, key: keyFile, requests: 1 },
                limits: { queue: 0 },
                cluster: { workers },
            });
            const [tls = '', plain = ''] = server.urls;
            try {
                const held = https.request(`${tls}/images`, {
                    method: 'POST',
                    headers: { 'content-type': 'application/json', 'content-length': '10' },
                    ca: authority.cert,
                    agent: false,
                });
                held.on('error', () => undefined).flushHeaders();
                // It is under way as soon as another one is refused.
                let answer = await ask(tls, { path: '/images' });
                while (answer.status === 200) {
                    answer = await ask(tls, { path: '/images' });
                }
                assert.equal(answer.status, 503);
                assert.equal((await ask(tls)).status, 200, 'signs of life are answered');
                assert.equal((await fetch(`${plain}/images`)).status, 200);
                held.destroy();
                while ((await ask(tls, { path: '/images' })).status === 503);
                assert.equal((await ask(tls, { path: '/images' })).status, 200);
            } finally {
                await server.stop();
            }
        });
    }

    describe('with certificates of clients', () => {
        let server: TestServer;
        let other: CertificateAuthority;
        let clients: Record<'admin' | 'reader' | 'unlisted' | 'expired' | 'foreign', Certificate>;

        before(async () => {
            const foreign = await makeFolder();
            other = new CertificateAuthority(foreign.path);
            clients = {
                admin: authority.issue('ops.example.com', 'DNS:x'),
                reader: authority.issue('watch.example.com', 'DNS:x'),
                unlisted: authority.issue('somebody', 'DNS:x'),
                expired: authority.issueExpired('late.example.com'),
                foreign: other.issue('ops.example.com', 'DNS:x'),
            };
            await foreign.remove();
            const { certFile, keyFile } = authority.issue('server', 'IP:127.0.0.1');
            const key = testKeys()[0].publicLine;
            server = await start({
                authType: 'signature',
                authKeys: { alice: [key], 'cn:watch.example.com': [key] },
                auth: {
                    reads: 'signed',
                    roles: {
                        alice: 'write',
                        'cn:ops.example.com': 'admin',
                        'cn:watch.example.com': 'read',
                    },
                },
                tls: { certificate: certFile, key: keyFile, clientCa: authority.certFile },
            });
        });
        after(() => (server as TestServer | undefined)?.stop());

        it('refuses those who have none, one of another authority, or an expired one, in the handshake', async () => {
            for (const certificate of [undefined, clients.foreign, clients.expired]) {
                const told = server.log.filter(({ msg }) => msg === 'a connection by TLS was refused').length;
                await assert.rejects(ask(server.url, { certificate }));
                await server.logged(
                    () =>
                        server.log.filter(({ msg }) => msg === 'a connection by TLS was refused').length >
                        told,
                );
            }
            assert.equal(
                server.log.filter(({ audit }) => audit === true).length,
                0,
                'no request was heard of',
            );
        });

        const create = (certificate: Certificate, headers = {}) =>
            ask(server.url, {
                method: 'POST',
                path: '/images',
                body: JSON.stringify(MANIFEST),
                certificate,
                headers,
            });

        it('gives those that are listed their role, and audits them by name', async () => {
            const { status, json } = await create(clients.admin);
            assert.equal(status, 200, JSON.stringify(json));
            const { uuid } = json as { uuid: string };
            const record = await server.logged(({ route }) => route === 'CreateImage');
            assert.equal(record.remoteUser, 'cn:ops.example.com');
            assert.equal(record.role, 'admin');
            assert.match(String(record.keyFingerprint), /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);

            assert.equal(
                (await ask(server.url, { path: at(uuid), certificate: clients.reader })).status,
                200,
            );
            const refused = await create(clients.reader);
            assert.equal(refused.status, 403);
            assert.match(JSON.stringify(refused.json), /cn:watch\.example\.com.* has the role .*read/);
            assert.equal((await ask(server.url, { path: '/state', certificate: clients.admin })).status, 200);
            assert.equal(
                (await ask(server.url, { path: '/state', certificate: clients.reader })).status,
                403,
            );
        });

        it('takes those that are not listed for nobody, who may read', async () => {
            assert.equal(
                (await ask(server.url, { path: '/images', certificate: clients.unlisted })).status,
                200,
            );
            assert.equal((await create(clients.unlisted)).status, 401);
            const all = { path: '/images?inclAdminFields=true', certificate: clients.unlisted };
            assert.equal((await ask(server.url, all)).status, 401);
        });

        it('lets a signature do as well, the stronger of the two counting, and refuses a wrong one', async () => {
            assert.equal((await create(clients.unlisted, credentials())).status, 200);
            assert.equal((await create(clients.reader, credentials())).status, 200);
            const state = { path: '/state', certificate: clients.admin, headers: credentials() };
            assert.equal((await ask(server.url, state)).status, 200);
            const namesake = signedHeaders('cn:watch.example.com', testKeys()[0]);
            assert.equal(
                (await create(clients.unlisted, namesake)).status,
                200,
                'a user who is called like a certificate does not have its role',
            );
            const wrong = { ...credentials(), date: new Date(0).toUTCString() };
            assert.equal((await create(clients.admin, wrong)).status, 401);
        });
    });
});
