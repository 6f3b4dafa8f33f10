/** The certificates of the server and of those who may sign its clients' (daemon.md §1): read, and looked at. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import type { TlsConfig } from './types';

/** PEM, as Node.js takes it. It goes from process to process, but never into the log. */
export interface Certificates {
    readonly cert: string;
    readonly key: string;
    /** Of the authorities that sign for clients; they need no certificate if it is absent. */
    readonly ca?: string;
}

const REASONS: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'this user may not read it',
    EISDIR: 'it is a folder',
};

/** @throws Error that names the key and the file */
function read(key: string, path: string): string {
    try {
        return readFileSync(path, 'utf8');
    } catch (err) {
        const { code = '', message } = err as NodeJS.ErrnoException;
        throw new Error(
            `config.${key} is ${JSON.stringify(path)}, which cannot be read: ${REASONS[code] ?? message}`,
            {
                cause: err,
            },
        );
    }
}

/** @throws Error unless there is a certificate in the file */
function assertCertificate(key: string, path: string, pem: string): void {
    try {
        new X509Certificate(pem);
    } catch (err) {
        throw new Error(`config.${key} is ${JSON.stringify(path)}, which has no certificate in PEM in it`, {
            cause: err,
        });
    }
}

/** The authorities of clients' certificates. @throws Error that says what is wrong with the file */
export function readClientCa({ clientCa }: TlsConfig): Pick<Certificates, 'ca'> {
    if (clientCa === undefined) {
        return {};
    }
    const ca = read('tls.clientCa', clientCa);
    assertCertificate('tls.clientCa', clientCa, ca);
    return { ca };
}

/**
 * The certificate that the configuration names, with its key and the authorities of clients.
 *
 * @returns undefined if it names none
 * @throws Error that says in one sentence which file is wrong, and how
 */
export function readCertificates(tls: TlsConfig): Certificates | undefined {
    const { certificate, key: keyFile = certificate } = tls;
    if (certificate === undefined || keyFile === undefined) {
        return undefined;
    }
    const keyName = tls.key === undefined ? 'tls.certificate' : 'tls.key';
    const cert = read('tls.certificate', certificate);
    assertCertificate('tls.certificate', certificate, cert);
    const key = read(keyName, keyFile);
    try {
        createSecureContext({ cert, key, minVersion: 'TLSv1.2' });
    } catch (err) {
        const where = `config.${keyName} is ${JSON.stringify(keyFile)}`;
        throw new Error(
            key.includes('PRIVATE KEY-----')
                ? `${where}, whose private key is not usable with the certificate in ${JSON.stringify(certificate)}`
                : `${where}, which has no private key in PEM in it`,
            { cause: err },
        );
    }
    return { cert, key, ...readClientCa(tls) };
}
