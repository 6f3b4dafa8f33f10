/** A certificate that the server makes for itself: who asks for https and has none gets that (daemon.md §1). */
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import { createSelfSignedCertificate, identityForHost, parsePrivateKey } from 'sshpk';
import type { Certificates } from './certificates';

/** How long it is valid, in s: longer than a server is likely to run. */
const LIFETIME = 365 * 86_400;

const HOST_NAME = /^[a-z0-9][a-z0-9-]{0,62}(\.[a-z0-9][a-z0-9-]{0,62})*$/i;

/** A new certificate for this machine and its key, which are nowhere but here, and the SHA-256 fingerprint of it. */
export function makeCertificate(): { certificates: Certificates; fingerprint: string } {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const names = [hostname(), 'localhost'].filter((name) => HOST_NAME.test(name));
    const identities = [...new Set(names)].map((name) => identityForHost(name));
    const serial = randomBytes(16);
    // The number is positive, and has no zero before it.
    serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
    const options = { lifetime: LIFETIME, serial };
    const cert = createSelfSignedCertificate(identities, parsePrivateKey(key, 'pem'), options).toString(
        'pem',
    );
    return { certificates: { cert, key }, fingerprint: new X509Certificate(cert).fingerprint256 };
}
