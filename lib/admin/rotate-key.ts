/** `imgapi-standalone-rotate-key` (ops.md §4). */
import {
    chownSync,
    copyFileSync,
    existsSync,
    mkdirSync,
    readFileSync,
    realpathSync,
    rmSync,
    statSync,
} from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MantaConfig } from '../config';
import { keyPairOf, makeKeyPair, type KeyPair } from '../signing/key-pair';
import { createStorages } from '../storage/index';
import { CommandFailure, UsageError, type Command, type CommandContext } from './command';
import { confirm } from './confirm';
import { explain } from './log';

/** How often Manta is asked whether it knows the key. */
const TRIES = 60;

/** Statuses of a Manta that does not know the key yet. */
const UNKNOWN_KEY: readonly unknown[] = [401, 403];

/** Writes a file as a whole or not at all, durably. */
async function writeWhole(path: string, content: string, mode: number, owner: string): Promise<void> {
    const unfinished = `${path}.new`;
    rmSync(unfinished, { force: true });
    const file = await open(unfinished, 'wx', mode);
    try {
        await file.writeFile(content);
        const { uid, gid } = statSync(owner);
        await file.chown(uid, gid).catch(() => undefined);
        await file.sync();
    } finally {
        await file.close();
    }
    await rename(unfinished, path);
}

/** The key to change to: that of an earlier run that did not come to its end, or a new one. */
async function newKey(path: string, comment: string, owner: string): Promise<KeyPair> {
    if (existsSync(path)) {
        return keyPairOf(readFileSync(path, 'utf8'), path, readFileSync(`${path}.pub`, 'utf8'));
    }
    const key = makeKeyPair(comment);
    await writeWhole(`${path}.pub`, `${key.publicLine}\n`, 0o644, owner);
    await writeWhole(path, key.privateKey, 0o600, owner);
    return key;
}

/** Whether Manta takes requests signed with the key. @throws what else is wrong with it */
async function isKnown(context: CommandContext, manta: MantaConfig): Promise<boolean> {
    const { config, log } = context;
    const storage = (await createStorages({ ...config, manta }, log, ['manta'])).get('manta');
    await storage.open();
    try {
        await storage.check();
        return true;
    } catch (error) {
        for (let cause = error; cause instanceof Error; cause = cause.cause) {
            if (UNKNOWN_KEY.includes((cause as { status?: unknown }).status)) {
                return false;
            }
        }
        throw error;
    } finally {
        await storage.close();
    }
}

async function untilKnown(context: CommandContext, manta: MantaConfig, every: number): Promise<void> {
    for (let tries = 1; !(await isKnown(context, manta)); tries++) {
        if (tries === TRIES) {
            throw new CommandFailure(
                'Manta does not know the new key. Add it to the account, and run this again: the key stays the same.',
            );
        }
        context.output.say('Manta does not know the key yet.');
        await sleep(every);
    }
}

function seconds({ flags }: CommandContext, name: string, usual: number): number {
    const given = flags.get(name) ?? String(usual);
    if (!/^\d{1,4}(\.\d+)?$/.test(given)) {
        throw new UsageError(`--${name} is "${given}"; it has to be a number of seconds.`);
    }
    return Number(given) * 1000;
}

/** Replaces the configuration by one with the key. */
async function configure(file: string, key: string, keyId: string): Promise<void> {
    const settings = JSON.parse(readFileSync(file, 'utf8')) as { manta?: object };
    const changed = { ...settings, manta: { ...settings.manta, key, keyId } };
    await writeWhole(file, `${JSON.stringify(changed, undefined, 2)}\n`, statSync(file).mode & 0o777, file);
}

/** Moves what was replaced out of the way, under a name of its time. */
function keep(path: string, folder: string, stamp: string): void {
    if (existsSync(path)) {
        const kept = join(folder, `${basename(path)}.${stamp}`);
        const { uid, gid } = statSync(path);
        copyFileSync(path, kept);
        if (process.getuid?.() === 0) {
            chownSync(kept, uid, gid);
        }
    }
}

async function rotate(context: CommandContext, manta: MantaConfig): Promise<void> {
    const { config, output } = context;
    const configFile = realpathSync(context.configFile);
    const every = seconds(context, 'every', 5);
    const settle = seconds(context, 'settle', 30);
    const etc = join(config.dataDir, 'etc');
    const old = join(etc, 'oldinstkeys');
    mkdirSync(old, { recursive: true, mode: 0o700 });
    const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const temporary = join(etc, 'newinstkey');
    const key = await newKey(temporary, `imgapi-${stamp}`, manta.key);
    output.print(key.publicLine);
    await confirm(context, `Add this key to the account ${manta.user} of ${manta.url}.`);
    await untilKnown(context, { ...manta, key: temporary, keyId: key.sha256 }, every);
    // Not all servers of Manta learn of it at once.
    await sleep(settle);

    const path = join(dirname(manta.key), `${key.comment}.id_ecdsa`);
    await writeWhole(`${path}.pub`, `${key.publicLine}\n`, 0o644, manta.key);
    await writeWhole(path, key.privateKey, 0o600, manta.key);
    keep(configFile, old, stamp);
    keep(manta.key, old, stamp);
    keep(`${manta.key}.pub`, old, stamp);
    await configure(configFile, path, key.sha256);
    [temporary, `${temporary}.pub`, manta.key, `${manta.key}.pub`]
        .filter((replaced) => replaced !== path && replaced !== `${path}.pub`)
        .forEach((replaced) => rmSync(replaced, { force: true }));
    output.say(
        `${configFile} names the new key, ${path}. Restart the server; then the former key, which is kept in ${old}, ` +
            'can be taken from the account.',
    );
}

export const rotateKey: Command = {
    name: 'imgapi-standalone-rotate-key',
    summary: 'Replace the key that a standalone registry signs its requests to Manta with',
    details: [
        'Makes a key (ECDSA, 256 bits) and prints its public half, which you add to the account at Manta. Once Manta takes it,',
        'the configuration is changed to it. The former key and configuration are kept in <dataDir>/etc/oldinstkeys.',
        'Restart the server then. Whatever interrupts it, run it again: the new key stays the same until it is used.',
    ],
    flags: [
        { name: 'yes', short: 'y', help: 'do not wait for Enter before Manta is asked' },
        {
            name: 'every',
            value: 'SECONDS',
            help: `between two questions to Manta, ${TRIES} at most (default 5)`,
        },
        { name: 'settle', value: 'SECONDS', help: 'how long to wait once Manta takes the key (default 30)' },
    ],
    exits: '0 done; 1 wrong usage, or it could not be done: then the former key is in use.',
    async run(context) {
        const { mode, manta } = context.config;
        if (mode === 'dc') {
            throw new CommandFailure(
                'This is for standalone instances, and config.mode is "dc": use imgapi-manta-setup --force.',
            );
        }
        if (!manta) {
            throw new CommandFailure('The configuration has no "manta", so there is no key to replace.');
        }
        try {
            await rotate(context, manta);
            return 0;
        } catch (error) {
            throw error instanceof UsageError ? error : new CommandFailure(explain(error));
        }
    },
};
