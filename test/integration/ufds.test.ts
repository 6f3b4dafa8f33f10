/** The account directory against a real LDAP server, and against servers that misbehave (ufds.md §2, §4 and §6). */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import bunyan from 'bunyan';
import type { Ufds } from '../../lib/dc/ufds';
import { UNKNOWN } from '../support/api';
import { assertUnavailable, bound, DirectoryClient, timed } from '../support/directory-client';
import { BOUND, done, entryOf, LyingLdap, result, tlv } from '../support/lying-ldap';
import { ACCOUNTS, OpenLdap } from '../support/openldap';
import { makeFolder } from '../support/server';

const SUB_USER = '3d8a7f0c-1111-4222-8333-5f5e5d5c5b5a';

describe('The account directory', function () {
    let directory: OpenLdap;
    const open: Ufds[] = [];
    const subjects: DirectoryClient[] = [];

    before(async function () {
        directory = await OpenLdap.start(this);
        await directory.addAccount(SUB_USER, `${ACCOUNTS.vader}/trooper`, ACCOUNTS.vader);
    });
    after(() => directory.stop());
    afterEach(async () => {
        await Promise.all(open.splice(0).map((ufds) => ufds.close()));
    });

    after(() => {
        assert.ok(subjects.length > 20);
        for (const { log } of subjects) {
            assert.ok(
                !JSON.stringify(log).includes(directory.config.bindPassword),
                'the password is not logged',
            );
        }
    });

    async function subject(config: Record<string, unknown> = {}): Promise<DirectoryClient> {
        const made = new DirectoryClient({ ...directory.config, ...config });
        open.push(made.ufds);
        subjects.push(made);
        await made.ufds.open();
        return made;
    }

    async function connected(config: Record<string, unknown> = {}): Promise<DirectoryClient> {
        const made = await subject(config);
        await made.logged('UFDS: connected');
        return made;
    }

    describe('that is there', () => {
        it('finds accounts by their uuid', async () => {
            const { ufds, log } = await connected();
            assert.equal(ufds.connected, true);
            for (const [login, uuid] of Object.entries(ACCOUNTS)) {
                assert.deepEqual(await ufds.find(uuid), { uuid, login });
            }
            assert.equal(log.filter(({ level }) => level > 30).length, 0);
        });

        it('knows nobody else: no sub-user, and nothing that only looks like a uuid', async () => {
            const { ufds } = await connected();
            for (const uuid of [
                UNKNOWN,
                SUB_USER,
                ACCOUNTS.vader.toUpperCase(),
                '',
                '*',
                'vader',
                '*)(uuid=*',
                `${ACCOUNTS.vader})(login=*`,
                `${ACCOUNTS.vader}\0`,
                `${ACCOUNTS.vader}\\2a`,
                '\\',
            ]) {
                assert.equal(await ufds.find(uuid), undefined, uuid);
            }
        });

        it('is asked every time', async () => {
            const { ufds } = await connected();
            assert.equal(await ufds.find(UNKNOWN), undefined);
            await directory.addAccount(UNKNOWN, 'newcomer');
            assert.equal((await ufds.find(UNKNOWN))?.login, 'newcomer');
            await directory.deleteAccount(UNKNOWN);
            assert.equal(await ufds.find(UNKNOWN), undefined);
        });

        it('takes many questions at once', async () => {
            const { ufds } = await subject();
            const uuids = Array.from({ length: 200 }, (_, n) => Object.values(ACCOUNTS)[n % 4] ?? '');
            const found = await Promise.all(uuids.map((uuid) => ufds.find(uuid)));
            assert.deepEqual(
                found.map((account) => account?.uuid),
                uuids,
            );
        });

        it('is reached with TLS, whose certificate is verified if ufds.ca is given', async function () {
            const url = directory.secureUrl;
            for (const ca of [undefined, directory.certificate]) {
                const { ufds } = await connected({ url, ca });
                assert.equal((await ufds.find(ACCOUNTS.luke))?.login, 'luke');
            }
            const other = await OpenLdap.start(this);
            try {
                const mistrusting = await subject({ url, ca: other.certificate });
                const { err } = await mistrusting.logged('UFDS: no connection');
                assert.match(JSON.stringify(err), /self-signed certificate/);
                await mistrusting.ufds.close();
                await assertUnavailable(mistrusting.ufds);
            } finally {
                await other.stop();
            }
        });

        it('is not asked with a ufds.ca that holds no certificate', async () => {
            const folder = await makeFolder();
            const ca = join(folder.path, 'ca.pem');
            try {
                await assert.rejects(subject({ ca }), /config\.ufds\.ca is ".*; .*: ENOENT/);
                await writeFile(ca, 'no certificate');
                await assert.rejects(subject({ ca }), /config\.ufds\.ca is /);
            } finally {
                await folder.remove();
            }
        });
    });

    describe('that fails', () => {
        it('is connected again after it was killed; meanwhile look-ups fail at once', async () => {
            const { ufds, logged, log } = bound(await connected({ retry: { maxDelay: 100 } }));
            for (const round of [1, 2]) {
                await directory.kill();
                assert.equal((await logged('UFDS: disconnected', round)).level, bunyan.WARN);
                assert.equal(ufds.connected, false);
                assert.ok((await timed(() => assertUnavailable(ufds))) < 100);
                await logged('UFDS: still no connection', round);
                directory.restart();
                assert.equal((await logged('UFDS: reconnected', round)).level, bunyan.INFO);
                assert.equal((await ufds.find(ACCOUNTS.luke))?.login, 'luke');
            }
            assert.equal(log.filter(({ msg }) => msg.startsWith('UFDS: no connection')).length, 0);
        });

        it('is given up when it does not answer, and connected again', async () => {
            const { ufds, logged } = bound(await connected({ timeout: 200, retry: { maxDelay: 100 } }));
            await directory.pause();
            try {
                const took = await timed(() =>
                    Promise.all([assertUnavailable(ufds), assertUnavailable(ufds, UNKNOWN)]),
                );
                assert.ok(took >= 190 && took < 1000, String(took));
                assert.match(JSON.stringify((await logged('UFDS: disconnected')).err), /within 200 ms/);
                assert.ok((await timed(() => assertUnavailable(ufds))) < 100);
            } finally {
                directory.resume();
            }
            await logged('UFDS: reconnected');
            assert.equal((await ufds.find(ACCOUNTS.luke))?.login, 'luke');
        });

        it('is waited for before the first connection, but not for long', async () => {
            await directory.kill();
            const begin = performance.now();
            const { ufds, logged, messages } = bound(await subject({ retry: { maxDelay: 200 } }));
            assert.ok(performance.now() - begin < 100, 'opening does not wait');
            const [early, took] = await Promise.all([
                timed(() => assertUnavailable(ufds)),
                timed(() => assertUnavailable(ufds)),
            ]);
            assert.ok(early >= 1900 && took < 3000, `${early} ${took}`);
            await logged('UFDS: still no connection', 5);
            const waiting = ufds.find(ACCOUNTS.luke);
            directory.restart();
            assert.equal((await waiting)?.login, 'luke');
            assert.equal(messages(bunyan.WARN).filter((msg) => msg.includes('no connection')).length, 1);
        });

        it('refuses the password: that is said once, and tried again', async () => {
            const wrong = bound(await subject({ bindPassword: 'wrong-secret', retry: { maxDelay: 20 } }));
            assert.equal((await wrong.logged('UFDS: invalid credentials')).level, bunyan.FATAL);
            assert.ok((await timed(() => assertUnavailable(wrong.ufds))) < 100);
            // The next attempt finds the server gone.
            await directory.kill();
            await wrong.logged('UFDS: still no connection');
            directory.restart();
            assert.equal(wrong.messages(bunyan.FATAL).length, 1);
            assert.ok(!JSON.stringify(wrong.log).includes('wrong-secret'));
        });

        it('does not keep its owner from closing', async () => {
            const gone = new DirectoryClient({ url: 'ldap://127.0.0.1:1' });
            await gone.ufds.open();
            const waiting = assertUnavailable(gone.ufds);
            assert.ok((await timed(() => gone.ufds.close())) < 500);
            assert.ok((await timed(() => waiting)) < 500);

            const silent = await LyingLdap.listen(() => undefined);
            try {
                const connecting = new DirectoryClient({ url: silent.url });
                await connecting.ufds.open();
                await silent.connection;
                assert.ok((await timed(() => connecting.ufds.close())) < 500);
                assert.deepEqual(connecting.messages(bunyan.INFO), []);
            } finally {
                await silent.close();
            }
        });
    });

    describe('that misbehaves', () => {
        let fake: LyingLdap | undefined;

        afterEach(async () => {
            await Promise.all(open.splice(0).map((ufds) => ufds.close()));
            await fake?.close();
            fake = undefined;
        });

        /** A directory at a server that answers the nth message of a connection with the nth of these. */
        async function facing(...answers: (Buffer | 'silence' | 'hang up')[]): Promise<DirectoryClient> {
            fake = await LyingLdap.listen((socket, count) => {
                const answer = answers[count];
                if (answer === 'hang up') {
                    socket.destroy();
                } else if (answer !== undefined && answer !== 'silence') {
                    socket.write(answer);
                }
            });
            return subject({ url: fake.url, timeout: 150, retry: { maxDelay: 50 } });
        }

        for (const [how, answer, reason] of [
            ['hangs up', 'hang up', /closed/],
            ['does not answer', 'silence', /within 150 ms/],
            ['speaks another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /./],
            ['answers with a code that nobody knows', result(1, 0x61, 118), /cannot be understood/],
            ['refuses for now', result(1, 0x61, 51), /./],
            ['answers another question', result(9, 0x61, 0), /within 150 ms/],
        ] as const) {
            it(`at the login: ${how}`, async () => {
                const { ufds, logged, messages } = bound(await facing(answer));
                assert.match(JSON.stringify((await logged('UFDS: no connection')).err), reason);
                await logged('UFDS: still no connection', 2);
                assert.equal(ufds.connected, false);
                assert.deepEqual(messages(bunyan.WARN), ['UFDS: no connection; trying on']);
            });
        }

        const reference = tlv(
            0x30,
            tlv(2, Buffer.from([2])),
            tlv(0x73, tlv(4, 'ldap://127.0.0.1:1/ou=users,o=smartdc??one')),
        );

        for (const [how, answer, lost] of [
            ['hangs up', 'hang up', true],
            ['does not answer', 'silence', true],
            ['begins an answer and stops', entryOf(ACCOUNTS.luke), true],
            ['begins an answer and stops in the middle', entryOf(ACCOUNTS.luke).subarray(0, 20), true],
            ['answers with a code that nobody knows', done(2, 118), true],
            ['sends rubbish', Buffer.from([0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]), true],
            ['is busy', done(2, 51), false],
            ['refers to another server', done(2, 10), false],
            ['refers to another server for the entries', Buffer.concat([reference, done(2, 0)]), false],
            ['does not have the folder of the accounts', done(2, 32), false],
        ] as const) {
            it(`at a look-up: ${how}`, async () => {
                const { ufds, logged } = bound(await facing(BOUND, answer));
                await logged('UFDS: connected');
                const took = await timed(() => assertUnavailable(ufds));
                assert.ok(took < 1000, String(took));
                assert.equal((await logged('could not be looked up')).level, bunyan.WARN);
                if (lost) {
                    await logged('UFDS: disconnected');
                    await logged('UFDS: reconnected');
                } else {
                    assert.equal(ufds.connected, true);
                }
            });
        }

        it('at a look-up: finds somebody else', async () => {
            const { ufds, logged } = bound(
                await facing(BOUND, Buffer.concat([entryOf(UNKNOWN), done(2, 0)])),
            );
            await logged('UFDS: connected');
            assert.equal(await ufds.find(ACCOUNTS.luke), undefined);
        });

        it('at a look-up: answers when nobody waits any more, and twice', async () => {
            const answer = Buffer.concat([entryOf(ACCOUNTS.luke), done(2, 0)]);
            const { ufds, logged } = bound(await facing(BOUND, Buffer.concat([answer, answer, answer])));
            await logged('UFDS: connected');
            assert.equal((await ufds.find(ACCOUNTS.luke))?.uuid, ACCOUNTS.luke);
            assert.equal(ufds.connected, true);
        });
    });
});
