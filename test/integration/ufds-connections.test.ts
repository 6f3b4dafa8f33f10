/** The connections to an account directory, counted at both ends: none is left over, whatever the directory does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { assertUnavailable, DirectoryClient, timed } from '../support/directory-client';
import { BOUND, done, entryOf, LyingLdap } from '../support/lying-ldap';
import { ACCOUNTS, OpenLdap } from '../support/openldap';

const ROUNDS = 100;
const TIMEOUT = 300;
/** Longer than a test may take: what ends a connection earlier is not the time. */
const PATIENT = 60_000;

/** Sockets of this process, those of the servers in it included. */
const socketsHere = (): number =>
    process.getActiveResourcesInfo().filter((kind) => /^(?:TCPSocketWrap|TCPConnectWrap|TLSWrap)$/.test(kind))
        .length;

/** Passes connections on to a directory until they are cut. */
class Passage {
    /** How many there ever were, and how many at once at most. */
    connections = 0;
    most = 0;
    readonly #open = new Set<Socket>();

    private constructor(private readonly server: net.Server) {}

    static async start(target: string): Promise<Passage> {
        const { hostname, port } = new URL(target.replace(/^ldap/, 'http'));
        const server = net.createServer();
        const passage = new Passage(server);
        server.on('connection', (socket) => {
            const onward = net.connect(Number(port), hostname);
            const end = () => {
                socket.destroy();
                onward.destroy();
                passage.#open.delete(socket);
            };
            passage.#open.add(socket);
            passage.connections++;
            passage.most = Math.max(passage.most, passage.#open.size);
            socket.on('error', end).on('close', end).pipe(onward);
            onward.on('error', end).on('close', end).pipe(socket);
        });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        return passage;
    }

    get url(): string {
        return `ldap://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    }

    cut(): void {
        this.#open.forEach((socket) => socket.destroy());
    }

    async stop(): Promise<void> {
        const closed = once(this.server, 'close');
        this.server.close();
        this.cut();
        await closed;
    }
}

describe('connections to the account directory', () => {
    const open: DirectoryClient[] = [];
    let before: number;
    beforeEach(() => {
        before = socketsHere();
    });
    afterEach(async () => {
        await Promise.all(open.splice(0).map(({ ufds }) => ufds.close()));
    });

    async function client(config: Record<string, unknown>): Promise<DirectoryClient> {
        const made = new DirectoryClient({ timeout: TIMEOUT, retry: { maxDelay: 10 }, ...config });
        open.push(made);
        await made.ufds.open();
        return made;
    }

    /** No more sockets than when the test began, once those that are being closed are. */
    async function assertNoneLeft(): Promise<void> {
        const end = Date.now() + 5000;
        while (socketsHere() > before) {
            assert.ok(Date.now() < end, `${socketsHere() - before} sockets are left`);
            await turn();
        }
    }

    it(`are one at a time, ${ROUNDS} times one after the other`, async function () {
        this.timeout(60_000);
        const directory = await OpenLdap.start(this);
        const passage = await Passage.start(directory.url);
        try {
            const made = await client({ ...directory.config, url: passage.url });
            await made.logged('UFDS: connected');
            for (let round = 1; round <= ROUNDS; round++) {
                assert.equal((await made.ufds.find(ACCOUNTS.luke))?.login, 'luke');
                passage.cut();
                await made.logged('UFDS: reconnected', round);
                made.log.splice(
                    0,
                    made.log.length,
                    ...made.log.filter(({ msg }) => msg === 'UFDS: reconnected'),
                );
            }
            assert.equal(passage.connections, ROUNDS + 1);
            assert.equal(passage.most, 1);
            await made.ufds.close();
            await passage.stop();
            await assertNoneLeft();
        } finally {
            await passage.stop().catch(() => undefined);
            await directory.stop();
        }
    });

    const flood = (piece: Buffer) => (socket: Socket) => {
        const pour = () => {
            while (!socket.destroyed && socket.write(piece)) {
                // As fast as it is taken.
            }
        };
        socket.on('drain', pour);
        pour();
    };
    const manyEntries = Buffer.concat(Array.from({ length: 500 }, () => entryOf(ACCOUNTS.luke)));
    const slowly = (socket: Socket) => {
        const bytes = [...Buffer.concat([entryOf(ACCOUNTS.luke), done(2, 0)])];
        const timer = setInterval(() => {
            const byte = bytes.shift();
            if (byte === undefined || socket.destroyed) {
                clearInterval(timer);
            } else {
                socket.write(Buffer.from([byte]));
            }
        }, TIMEOUT / 20);
    };
    /** A message without a question: the server says that it is about to disconnect (RFC 4511 §4.4.1). */
    const notice = Buffer.concat([
        Buffer.from([0x30, 36, 2, 1, 0, 0x78, 31, 0x0a, 1, 52, 4, 0, 4, 0, 0x8a, 22]),
        Buffer.from('1.3.6.1.4.1.1466.20036'),
    ]);

    for (const [how, behave, timeout] of [
        ['answers a byte at a time', slowly, TIMEOUT],
        ['answers with entries without end', flood(manyEntries), PATIENT],
        [
            'announces an answer of 2 GiB, and sends it',
            (socket: Socket) => {
                socket.write(Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]));
                flood(Buffer.alloc(64 * 1024))(socket);
            },
            PATIENT,
        ],
        [
            'says that it goes, and goes',
            (socket: Socket) => {
                socket.end(notice);
            },
            PATIENT,
        ],
    ] as const) {
        it(`are closed when the directory ${how}`, async () => {
            const lying = await LyingLdap.listen((socket, count) => {
                if (count === 0) {
                    socket.write(BOUND);
                } else if (count === 1) {
                    behave(socket);
                }
            });
            try {
                const made = await client({ url: lying.url, timeout });
                await made.logged('UFDS: connected');
                const memory = process.memoryUsage.rss();
                for (let round = 1; round <= 5; round++) {
                    const took = await timed(() => assertUnavailable(made.ufds));
                    assert.ok(took < 10_000, String(took));
                    await made.logged('UFDS: reconnected', round);
                }
                assert.ok(process.memoryUsage.rss() - memory < 100 * 1024 * 1024, 'memory');
                await made.ufds.close();
                await lying.idle();
                assert.ok(lying.most <= 2, `${lying.most} at once`);
            } finally {
                await lying.close();
            }
            await assertNoneLeft();
        });
    }

    it('are given up one after the other when there is no answer to TLS', async () => {
        const silent = await LyingLdap.listen(() => undefined);
        try {
            const made = await client({ url: silent.url.replace('ldap:', 'ldaps:'), connectTimeout: 50 });
            await made.logged('UFDS: still no connection', 10);
            await made.ufds.close();
            await silent.idle();
            assert.ok(silent.most <= 2, `${silent.most} at once`);
        } finally {
            await silent.close();
        }
        await assertNoneLeft();
    });

    it('are closed when the login is refused, or is not answered', async () => {
        for (const answer of [() => undefined, (socket: Socket) => socket.write(Buffer.from('no LDAP'))]) {
            const lying = await LyingLdap.listen(answer);
            try {
                const made = await client({ url: lying.url, timeout: 50 });
                await made.logged('UFDS: still no connection', 10);
                await made.ufds.close();
                await lying.idle();
                assert.ok(lying.most <= 2, `${lying.most} at once`);
            } finally {
                await lying.close();
            }
        }
        await assertNoneLeft();
    });
});
