/**
 * Requests that claim to be from a user and are not, or are not what the user signed. None is taken; each is refused
 * with a reason for the user who made a mistake, which tells a stranger nothing.
 *
 * Every case begins with a request that is taken, so that it is the forgery that is refused.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { makeKey, type TestKey, type TestKeyType } from '../support/keys';
import { RawConnection } from '../support/raw-connection';
import { Registry, testKeys } from '../support/registry';
import type { SignedMessage } from '../support/signed-message';
import { algorithms } from './forgeries/algorithms';
import {
    assertAccepted,
    assertRefused,
    tryForgery,
    validMessage,
    type Forgery,
    type World,
} from './forgeries/forgery';
import { headers } from './forgeries/headers';
import { identities } from './forgeries/identities';
import { parameters } from './forgeries/parameters';
import { requests } from './forgeries/requests';
import { signatures } from './forgeries/signatures';
import { smallPointLines, trivialRsaLine } from './forgeries/weak-keys';
import { wire } from './forgeries/wire';

const GROUPS: Readonly<Record<string, readonly Forgery[]>> = {
    'the Authorization header': parameters,
    'what is signed': headers,
    'the request': requests,
    'who is named': identities,
    'the algorithm': algorithms,
    'the signature': signatures,
    'the bytes on the wire': wire,
};

const LEAST_CASES = 100;

/** A key with the exponent that forgeries of padding need; ssh-keygen makes none. */
function lowExponentKey(): TestKey {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', {
        modulusLength: 2048,
        publicExponent: 3,
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
        publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const publicLine = sshpk.parseKey(publicKey, 'pem').toString('ssh');
    return { publicLine, privateKey, privateKeyFile: '', algorithm: 'rsa-sha256' };
}

function makeKeys(): Map<string, TestKey> {
    const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
    const make = (user: string, type: TestKeyType, bits?: string) =>
        [user, makeKey(folder, user, type, bits)] as const;
    try {
        const [alice, bob] = testKeys();
        return new Map([
            ['alice', alice],
            ['bob', bob],
            ['ruth', lowExponentKey()],
            make('dan', 'dsa'),
            make('erin', 'ecdsa', '256'),
            make('frank', 'ecdsa', '384'),
            make('grace', 'ecdsa', '521'),
            make('edith', 'ed25519'),
        ]);
    } finally {
        rmSync(folder, { recursive: true });
    }
}

/** Public keys that the server does not take. */
const UNUSABLE = [
    'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIGXH0Zk7vXV8sAd+zXM0DX5kXyM5qsGV2VnZ9lpRZxXUAAAABHNzaDo= k',
    ...smallPointLines,
    trivialRsaLine,
    'ssh-rsa AAAA',
    'not a key',
];

describe('Forged signatures', function () {
    this.timeout(60_000);
    let registry: Registry;
    let world: World;
    before(async () => {
        const keys = makeKeys();
        const authKeys = Object.fromEntries([...keys].map(([user, { publicLine }]) => [user, [publicLine]]));
        registry = await Registry.start({ authKeys: { ...authKeys, nobody: [], unusable: UNUSABLE } });
        world = { url: registry.url, dataDir: registry.dataDir, keys };
    });
    after(() => registry.stop());

    it('are tried in more than a hundred ways', () => {
        const cases = Object.values(GROUPS).flat();
        assert.ok(cases.length >= LEAST_CASES, `${cases.length} cases`);
        assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length, 'no two have the same name');
    });

    for (const [group, forgeries] of Object.entries(GROUPS)) {
        describe(`are refused: ${group}`, () => {
            for (const forgery of forgeries) {
                it(forgery.name, () => tryForgery(forgery, world));
            }
        });
    }

    it('are none where nothing was changed that matters', async () => {
        const changes: Record<string, (message: SignedMessage) => SignedMessage> = {
            'a parameter that means nothing': (message) => message.addParameter('version', '2.0'),
            'the parameters in another order': (message) =>
                Object.assign(message, { parameters: message.parameters.reverse() }),
            'another keyId before the right one': (message) =>
                Object.assign(message, { parameters: [['keyId', '"bob"'], ...message.parameters] }),
            'the algorithm in capitals': (message) => message.setParameter('algorithm', 'RSA-SHA256'),
            'the list that is meant without one': (message) => message.setParameter('headers', 'date'),
            'an empty list': (message) => message.setParameter('headers', ''),
            'names in the list in capitals': (message) => message.setParameter('headers', 'DATE'),
            'the names of headers in capitals': (message) =>
                Object.assign(message, {
                    headers: message.headers.map(([name, value]) => [name.toUpperCase(), value]),
                }),
            'headers in another order': (message) =>
                Object.assign(message, { headers: message.headers.reverse() }),
            'headers that are not signed': (message) =>
                message.addHeader('X-One', 'a').setHeader('Host', 'b'),
            'spaces around the date': (message) =>
                message.setHeader('Date', ` \t ${message.header('date')!} \t `),
            'spaces around the credentials': (message) => message.rewrite((text) => ` \t ${text} \t `),
        };
        for (const change of Object.values(changes)) {
            const message = validMessage(world, 'alice', '/ping').sign();
            const plain = message.bytes;
            change(message);
            assert.ok(!message.bytes.equals(plain));
            await assertAccepted(message, world);
        }
    });

    it('are refused in the same words, whether there is such a user or not', async () => {
        const bob = world.keys.get('bob')!;
        const makers: Record<string, (message: SignedMessage) => SignedMessage> = {
            'a wrong key': (message) => message.sign({ key: bob }),
            'a wrong type of key': (message) => {
                const key = world.keys.get('erin')!;
                return message.setParameter('algorithm', key.algorithm).sign({ key });
            },
            'a wrong signature': (message) => message.setSignature(Buffer.alloc(256, 1)),
            'another text': (message) => message.setHeader('Date', new Date(Date.now() - 5000).toUTCString()),
            'no such user': (message) => message.setParameter('keyId', 'mallory').sign(),
            'a user without keys': (message) => message.setParameter('keyId', 'nobody').sign(),
            'a user without keys that can be used': (message) =>
                message.setParameter('keyId', 'unusable').sign(),
            'a name that JavaScript knows': (message) => message.setParameter('keyId', 'constructor').sign(),
        };
        const told = new Map<string, unknown>();
        for (const [name, make] of Object.entries(makers)) {
            const message = make(validMessage(world).sign());
            const answer = await message.send(world.url);
            const text = assertRefused(answer, message.bytes, world);
            const user = message.parameter('keyId')!;
            told.set(name, { text: text.replace(user, 'USER'), headers: [...answer.headers.keys()] });
        }
        const [first] = told.values();
        told.forEach((answer, name) => assert.deepEqual(answer, first, name));
    });

    it('are refused when the date is more than 300 s off, and not when it is less', async () => {
        /** The answer to a date so many seconds from now, which was on its way for less than a second. */
        const ask = async (seconds: number, round: (time: number) => number, header: string) => {
            for (;;) {
                const now = Date.now();
                const message = validMessage(world);
                const date = new Date((round(now / 1000) + seconds) * 1000).toUTCString();
                message.setHeader(header, date).sign();
                const { status } = await message.send(world.url);
                if (Date.now() - now < 900) {
                    return status;
                }
            }
        };
        for (const header of ['Date', 'X-Date']) {
            // Dates have whole seconds: rounded so that the time on the way makes them no better and no worse.
            assert.equal(await ask(-299, Math.ceil, header), 200);
            assert.equal(await ask(299, Math.floor, header), 200);
            assert.equal(await ask(-301, Math.floor, header), 401);
            assert.equal(await ask(301, Math.ceil, header), 401);
        }
    });

    it('are refused on a connection that had a right one', async () => {
        const connection = await RawConnection.open(world.url);
        try {
            const right = validMessage(world).sign();
            const wrong = right.copy().setSignature(Buffer.alloc(256, 1));
            const nothing = Buffer.from('GET /state HTTP/1.1\r\nHost: x\r\n\r\n');
            connection.write(Buffer.concat([right.bytes, wrong.bytes, nothing, right.bytes]));
            await connection.until(/(HTTP\/1\.1 [^]*){4}/);
            const { received } = connection;
            assert.deepEqual(
                [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)),
                [200, 401, 401, 200],
            );
        } finally {
            connection.close();
        }
    });
});
