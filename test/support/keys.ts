/** SSH keys made by ssh-keygen, and HTTP signatures with them, as the clients of the ecosystem make them. */
import { execFileSync } from 'node:child_process';
import { createSign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TestKey {
    /** The line for `authKeys`. */
    publicLine: string;
    /** PEM. */
    privateKey: string;
    privateKeyFile: string;
}

/** Makes an RSA key in the folder. */
export function makeKey(folder: string, name = 'id_rsa', type = 'rsa', bits = '2048'): TestKey {
    const file = join(folder, name);
    execFileSync('ssh-keygen', [
        '-q',
        '-t',
        type,
        '-b',
        bits,
        '-m',
        'PEM',
        '-N',
        '',
        '-C',
        'test',
        '-f',
        file,
    ]);
    return {
        publicLine: readFileSync(`${file}.pub`, 'utf8').trim(),
        privateKey: readFileSync(file, 'utf8'),
        privateKeyFile: file,
    };
}

/** The headers that sign a request: only its date, as node-sdc-clients does. */
export function signedHeaders(
    user: string,
    key: TestKey,
    { algorithm = 'rsa-sha256', date = new Date() }: { algorithm?: string; date?: Date } = {},
): { date: string; authorization: string } {
    const text = date.toUTCString();
    const signature = createSign(algorithm.toUpperCase())
        .update(`date: ${text}`)
        .sign(key.privateKey, 'base64');
    return {
        date: text,
        authorization: `Signature keyId="${user}",algorithm="${algorithm}",signature="${signature}"`,
    };
}
