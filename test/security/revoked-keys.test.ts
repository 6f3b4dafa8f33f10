/** Keys that were a user's: nothing is left of them, and nothing is told of them. */
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Registry, testKeys } from '../support/registry';
import { makeFolder } from '../support/server';
import { SignedMessage } from '../support/signed-message';
import { assertAccepted, assertRefused, type World } from './forgeries/forgery';

describe('Keys that were taken away', () => {
    const [one, two] = testKeys();
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let registry: Registry | undefined;
    beforeEach(async () => {
        folder = await makeFolder();
    });
    afterEach(async () => {
        await registry?.stop();
        registry = undefined;
        await folder.remove();
    });

    async function start(authKeys: Record<string, string[]>): Promise<World> {
        await registry?.stop();
        registry = await Registry.start({ authKeys }, { dataDir: join(folder.path, 'data') });
        return { url: registry.url, dataDir: registry.dataDir, keys: new Map() };
    }

    /** The message with which a request is refused, the name taken out. */
    async function refusal(message: SignedMessage, world: World): Promise<string> {
        const text = assertRefused(await message.send(world.url), message.bytes, world);
        return text.replace(message.user, 'USER');
    }

    const signed = (user: string, key = one): SignedMessage => new SignedMessage('/ping', user, key).sign();

    it('from the configuration are refused, in the words for a user who never was', async () => {
        const before = signed('bob');
        await assertAccepted(
            before,
            await start({ alice: [one.publicLine], bob: [one.publicLine, two.publicLine] }),
        );

        const world = await start({ alice: [one.publicLine], bob: [two.publicLine] });
        const told = await refusal(signed('mallory'), world);
        assert.equal(await refusal(signed('bob'), world), told);
        assert.equal(await refusal(before, world), told, 'nor is what was signed before');
        await assertAccepted(signed('bob', two), world);

        const without = await start({ alice: [one.publicLine] });
        assert.equal(await refusal(signed('bob', two), without), told);
        await assertAccepted(signed('alice'), without);
    });

    it('from a file are refused, in the words for a user who never was', async () => {
        const file = join(folder.path, 'data/etc/keys/local/carol.keys');
        await mkdir(join(file, '..'), { recursive: true });
        await writeFile(file, `${one.publicLine}\n`);
        const world = await start({ alice: [one.publicLine] });
        await assertAccepted(signed('carol'), world);

        await rm(file);
        await registry?.client.post('/authkeys/reload');
        await registry?.server.logged(
            ({ users }) => JSON.stringify(users) === JSON.stringify([{ user: 'carol', keys: 0 }]),
        );
        assert.equal(await refusal(signed('carol'), world), await refusal(signed('mallory'), world));
        await assertAccepted(signed('alice'), world);
    });
});
