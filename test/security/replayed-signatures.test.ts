/** Right signatures a second time: where each counts once, by all processes together (`auth.replayWindow`). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeKey, type TestKey } from '../support/keys';
import { Registry, testKeys } from '../support/registry';
import { makeFolder } from '../support/server';
import type { SignedMessage } from '../support/signed-message';
import { assertAccepted, assertRefused, validMessage, type World } from './forgeries/forgery';
import { ecdsaSignature, numbersOf, ORDERS } from './forgeries/numbers';

const WINDOW = 60_000;

describe('Signatures that were used', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    const registries: Registry[] = [];
    const keys = new Map<string, TestKey>();
    let world: World;
    let other: World;

    const start = async (): Promise<World> => {
        const authKeys = Object.fromEntries([...keys].map(([user, { publicLine }]) => [user, [publicLine]]));
        const config = { authKeys, auth: { replayWindow: WINDOW } };
        const registry = await Registry.start(config, { dataDir: join(folder.path, 'data') });
        registries.push(registry);
        return { url: registry.url, dataDir: registry.dataDir, keys };
    };

    before(async () => {
        const keyFolder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        try {
            const [alice, bob] = testKeys();
            keys.set('alice', alice).set('bob', bob).set('alias', alice);
            keys.set('erin', makeKey(keyFolder, 'erin', 'ecdsa'));
            keys.set('edith', makeKey(keyFolder, 'edith', 'ed25519'));
        } finally {
            rmSync(keyFolder, { recursive: true });
        }
        folder = await makeFolder();
        world = await start();
        other = await start();
    });
    after(async () => {
        await Promise.all(registries.map((registry) => registry.stop()));
        await folder.remove();
    });

    let used = 0;
    /** A request that was not sent before: each is of another second. */
    const fresh = (user?: string, target?: string): SignedMessage =>
        validMessage(world, user, target)
            .setHeader('Date', new Date(Date.now() - 30_000 + used++ * 1000).toUTCString())
            .sign();

    const assertUsed = async (message: SignedMessage, at: World): Promise<void> => {
        const answer = await message.send(at.url);
        assert.match(assertRefused(answer, message.bytes, at), /used before/);
    };

    const again: Record<string, (message: SignedMessage) => SignedMessage> = {
        'as they are': (message) => message,
        'for another path': (message) => Object.assign(message, { target: '/ping' }),
        'with another query': (message) => Object.assign(message, { target: `${message.target}?a=b` }),
        'with a list that says the same': (message) => message.setParameter('headers', 'DATE'),
        'with parameters in another order': (message) =>
            Object.assign(message, { parameters: message.parameters.reverse() }),
        'with a parameter more': (message) => message.addParameter('nonce', '1'),
        'with the algorithm in capitals': (message) => message.setParameter('algorithm', 'RSA-SHA256'),
        'for another user with the same key': (message) => message.setParameter('keyId', 'alias'),
    };
    for (const [name, change] of Object.entries(again)) {
        it(`are refused ${name}`, async () => {
            const message = fresh();
            await assertAccepted(message, world);
            await assertUsed(change(message.copy()), world);
            await assertUsed(change(message.copy()), other);
        });
    }

    it('are refused as the other signature that everybody can make of one of ECDSA', async () => {
        const message = fresh('erin');
        const { r, s } = numbersOf(message.signature);
        const twin = message.copy().setSignature(ecdsaSignature(r, ORDERS.p256 - s));
        // It is as good as the first one, and counts, if it comes first.
        await assertAccepted(twin, world);
        await assertUsed(message, other);
    });

    it('are refused under the other name of their algorithm', async () => {
        const message = fresh('edith');
        await assertAccepted(message, world);
        const algorithm = message.parameter('algorithm') === 'ed25519' ? 'ed25519-sha512' : 'ed25519';
        await assertUsed(message.copy().setParameter('algorithm', algorithm), world);
    });

    it('count once when they come many times at once, at two processes', async () => {
        const message = fresh();
        const answers = await Promise.all(
            Array.from({ length: 20 }, (_, n) => message.send((n % 2 === 0 ? world : other).url)),
        );
        assert.equal(answers.filter(({ status }) => status === 200).length, 1);
        assert.equal(answers.filter(({ status }) => status === 401).length, 19);
    });

    it('are not used up by forgeries that come before them', async () => {
        const message = fresh();
        for (const forged of [
            message.copy().setSignature(Buffer.alloc(256, 1)),
            message.copy().setParameter('keyId', 'bob'),
            message.copy().setHeader('Date', undefined),
        ]) {
            assert.equal((await forged.send(world.url)).status, 401);
        }
        await assertAccepted(message, world);
    });

    it('of two users with the same text are two', async () => {
        const message = fresh();
        const date = message.header('date')!;
        await assertAccepted(message, world);
        await assertAccepted(validMessage(world, 'bob').setHeader('Date', date).sign(), world);
    });

    it('are refused when their date is off by more than the window', async () => {
        for (const seconds of [-WINDOW / 1000 - 2, WINDOW / 1000 + 5]) {
            const date = new Date(Date.now() + seconds * 1000).toUTCString();
            const message = validMessage(world).setHeader('Date', date).sign();
            assert.match(assertRefused(await message.send(world.url), message.bytes, world), /date.*60 s/is);
        }
    });

    it('are refused by a process that was started later', async () => {
        const message = fresh();
        await assertAccepted(message, world);
        await assertUsed(message, await start());
    });
});
