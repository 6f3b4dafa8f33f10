import { TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import type { ClientCertificate } from '../auth/driver';

/** Where a connection keeps what is known of it: the same for all of its requests. */
const CERTIFICATE = Symbol('certificate');
type CertifiedSocket = Socket & { [CERTIFICATE]?: ClientCertificate | null };

/** The certificate that the client has shown and one of `tls.clientCa` has signed; undefined if there is none. */
export function certificateOf(socket: CertifiedSocket): ClientCertificate | undefined {
    if (socket[CERTIFICATE] === undefined) {
        socket[CERTIFICATE] = readCertificate(socket) ?? null;
    }
    return socket[CERTIFICATE] ?? undefined;
}

function readCertificate(socket: Socket): ClientCertificate | undefined {
    if (!(socket instanceof TLSSocket) || !socket.authorized) {
        return undefined;
    }
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) {
        return undefined;
    }
    const { subject } = certificate.toLegacyObject();
    // Of several names none is more right than the others: the certificate has no name then.
    const name: unknown = subject.CN;
    return { fingerprint: certificate.fingerprint256, ...(typeof name === 'string' && { commonName: name }) };
}
