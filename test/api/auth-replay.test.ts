/** Signatures that are accepted once (`auth.replayWindow`). */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { Connection } from '../../lib/db/local-connection';
import { assertError, type Answer } from '../support/api';
import { makeKey, signedHeaders, type TestKey } from '../support/keys';
import { onMoray } from '../support/test-database';
import { Registry, testKeys } from '../support/registry';
import { makeFolder } from '../support/server';

const ORDER_OF_P256 = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');

/** Another signature of the same text by the same key, which anybody can make of an ECDSA signature. */
function mirrored(signature: string): string {
    const { parts } = sshpk.parseSignature(signature, 'ecdsa', 'asn1');
    const s = parts.find(({ name }) => name === 's');
    assert.ok(s);
    const other = ORDER_OF_P256 - BigInt(`0x${s.data.toString('hex')}`);
    const bytes = Buffer.from(other.toString(16).padStart(64, '0'), 'hex');
    s.data = (bytes[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
    return sshpk.parseSignature(signature, 'ecdsa', 'asn1').toString('asn1');
}

describe('Authentication: auth.replayWindow', () => {
    let one: Registry;
    let other: Registry;
    let removeData: () => Promise<void>;
    const [first] = testKeys();
    let ecdsa: TestKey;

    before(async () => {
        const keyFolder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        ecdsa = makeKey(keyFolder, 'ecdsa', 'ecdsa');
        rmSync(keyFolder, { recursive: true });
        const data = await makeFolder();
        removeData = data.remove;
        const config = {
            auth: { replayWindow: '60s' },
            authKeys: {
                alice: [first.publicLine, ecdsa.publicLine],
                twin: [first.publicLine],
            },
        };
        one = await Registry.start(config, { dataDir: data.path });
        other = await Registry.start(config, { dataDir: data.path });
    });
    after(async () => {
        await one.stop();
        await other.stop();
        await removeData();
    });

    let serial = 0;
    /** The headers of a request that is unlike all others. */
    const sign = (key = first, path = '/ping') =>
        signedHeaders('alice', key, {
            path,
            signed: ['date', 'x-serial', '(request-target)'],
            headers: { 'x-serial': String(serial++) },
        });

    function assertUsed(answer: Answer): void {
        assertError(answer, 401, 'UnauthorizedError');
        assert.match(answer.error.message, /used before.*sign the request anew/);
    }

    it('takes a signature once, whichever process gets it', async () => {
        for (const [former, later] of [
            [one, one],
            [one, other],
            [other, one],
        ] as const) {
            const headers = sign();
            assert.equal((await former.anonymous.get('/ping', headers)).status, 200);
            assertUsed(await later.anonymous.get('/ping', headers));
            assertUsed(await later.anonymous.get('/ping', headers));
        }
    });

    it('takes it once of fifty at the same moment', async () => {
        const headers = sign();
        const answers = await Promise.all(
            Array.from({ length: 50 }, (_, n) => (n % 2 ? one : other).anonymous.get('/ping', headers)),
        );
        assert.equal(answers.filter(({ status }) => status === 200).length, 1);
        answers.filter(({ status }) => status !== 200).forEach(assertUsed);
    });

    it('is about what was signed: two requests of one second that sign the date only are the same', async () => {
        const date = new Date(Date.now() - 5000);
        assert.equal((await one.anonymous.get('/ping', signedHeaders('alice', first, { date }))).status, 200);
        assertUsed(await one.anonymous.get('/state', signedHeaders('alice', first, { date })));
    });

    it('does not take the same in another form', async () => {
        const headers = sign();
        assert.equal((await one.anonymous.get('/ping', headers)).status, 200);
        const forms: [string | RegExp, string][] = [
            ['keyId="alice"', 'keyId="twin"'],
            ['rsa-sha256', 'RSA-SHA256'],
            ['headers="date', 'headers="Date'],
            [/$/, ',more="x"'],
        ];
        for (const [from, to] of forms) {
            const authorization = headers.authorization.replace(from, to);
            assert.notEqual(authorization, headers.authorization);
            assertUsed(await one.anonymous.get('/ping', { ...headers, authorization }));
        }
    });

    it('does not take the other signature that ECDSA has for the same text', async () => {
        const headers = sign(ecdsa);
        assert.equal((await one.anonymous.get('/ping', headers)).status, 200);
        const [, signature = ''] = /signature="([^"]*)"/.exec(headers.authorization) ?? [];
        const another = mirrored(signature);
        const text = `date: ${headers.date}\nx-serial: ${headers['x-serial'] ?? ''}\n(request-target): get /ping`;
        const key = createPublicKey(sshpk.parseKey(ecdsa.publicLine, 'ssh').toString('pkcs8'));
        assert.ok(verify('sha256', Buffer.from(text), key, Buffer.from(another, 'base64')), 'it verifies');
        const authorization = headers.authorization.replace(signature, another);
        assertUsed(await one.anonymous.get('/ping', { ...headers, authorization }));
    });

    it('does not use up a signature that was refused', async () => {
        const headers = sign();
        assertError(await one.anonymous.get('/state', headers), 401, 'UnauthorizedError');
        assert.equal((await one.anonymous.get('/ping', headers)).status, 200);
    });

    it('takes none while the database cannot remember it; who does not sign is served', async function () {
        if (onMoray) {
            // There is no file to lock.
            return;
        }
        this.timeout(20_000);
        const connection = await Connection.open(join(one.dataDir, 'imgapi.db'));
        const headers = sign();
        try {
            connection.exec('BEGIN IMMEDIATE');
            const answer = one.anonymous.get('/ping', headers);
            assert.equal((await one.anonymous.get('/ping')).status, 200);
            assertError(await answer, 503, 'ServiceUnavailableError');
        } finally {
            connection.exec('ROLLBACK');
            connection.close();
        }
        assert.equal((await one.anonymous.get('/ping', headers)).status, 200, 'it was not used up');
    });

    it('takes no date that is off by more than the window', async () => {
        const off = (seconds: number) => {
            const date = new Date(Date.now() + seconds * 1000);
            return one.anonymous.get('/ping', signedHeaders('alice', first, { date }));
        };
        for (const seconds of [-70, 70]) {
            const answer = await off(seconds);
            assertError(answer, 401, 'UnauthorizedError');
            assert.match(answer.error.message, /at most 60 s/);
        }
        assert.equal((await off(-50)).status, 200);
        assert.equal((await off(50)).status, 200);
    });
});
