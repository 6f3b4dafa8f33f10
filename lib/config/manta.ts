/** The block `manta` of the configuration: files kept in Manta (manta.md §1). */
import { flag, optionalText, text, time, type KeySchema } from './key-schema';
import { isServiceUrl } from './outbound';
import type { MantaConfig } from './types';

export const mantaBlock: KeySchema = {
    type: 'object',
    expected: 'an object with "url", "user", "key" and "keyId"',
    required: ['url', 'user', 'key', 'keyId'],
    properties: {
        url: text(
            'the URL of Manta',
            'URL of Manta, `https` unless it says `http://`; the block is required if `storageTypes` lists `manta`.',
        ),
        user: text('a Manta account name', 'Account that owns the files.'),
        key: text(
            'the path of a private key',
            'Path of a private key of the account: RSA, ECDSA or Ed25519 in PEM or OpenSSH form, without a passphrase.',
        ),
        keyId: text(
            'the fingerprint of the key',
            'Fingerprint of that key, MD5 or SHA256. Requests name the key by what the file holds; if that is ' +
                'another one, the log says so at the start.',
        ),
        baseDir: optionalText('a folder name', 'Folder under `/<user>/stor`. Absent or empty: `imgapi`.'),
        rootDir: optionalText(
            'computed by the server',
            'Computed from the others; a given value is replaced.',
        ),
        insecure: flag('Do not verify the certificate of Manta.'),
        remote: flag('Manta is in another place: images of `adminUuid` stay on local disk.'),
        connectTimeout: time(4000, 'Within this a connection to Manta has to stand, with TLS.'),
        answerTimeout: time(
            60_000,
            'Within this Manta has to answer, and has to acknowledge an object that it was sent.',
        ),
        idleTimeout: time(
            30_000,
            'Manta has to take or send some bytes of an object within this, or the connection is given up.',
        ),
    },
};

/** The server that the `url` of the block means: scheme, host and port. Undefined if it means none. */
export function mantaOrigin(url: string): URL | undefined {
    const full = url.includes('://') ? url : `https://${url}`;
    if (!isServiceUrl(full)) {
        return undefined;
    }
    const { protocol, host, pathname, search, hash } = new URL(full);
    return pathname === '/' && search === '' && hash === '' ? new URL(`${protocol}//${host}`) : undefined;
}

/** The reason against a block of the right shape, or undefined. */
export function checkManta({
    url,
    user,
    baseDir,
}: Pick<MantaConfig, 'url' | 'user' | 'baseDir'>): string | undefined {
    if (mantaOrigin(url) === undefined) {
        return (
            `config.manta.url is ${JSON.stringify(url)}; it must be a host, or a URL of http or https without a path ` +
            'or credentials, such as "https://manta.example.com"'
        );
    }
    if (!/^[A-Za-z][\w.@-]*$/.test(user)) {
        return (
            `config.manta.user is ${JSON.stringify(user)}; it must be a Manta account name: a letter, then letters, ` +
            'digits, "_", ".", "@" and "-"'
        );
    }
    const folders = baseDir.split('/');
    return folders.some((name) => name === '' || name === '.' || name === '..')
        ? `config.manta.baseDir is ${JSON.stringify(baseDir)}; it must be a folder name, or several joined by "/"`
        : undefined;
}
