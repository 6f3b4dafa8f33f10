import type Logger from 'bunyan';
import { readCertificates, readClientCa, type Certificates } from '../config/certificates';
import { makeCertificate } from '../config/transient-certificate';
import type { Config } from '../config/types';

/** The certificates of the server: those of its files, or one that it has made for itself. */
export class CertificateSource {
    #made: Certificates | undefined;

    constructor(private readonly log: Logger) {}

    /** The certificates as they are now. @throws Error that says which file is wrong, and how */
    read({ tls }: Config): Certificates {
        return readCertificates(tls) ?? { ...this.#own(), ...readClientCa(tls) };
    }

    /** The certificates as they are now; undefined, which is logged, if they cannot be used. */
    readAgain(config: Config): Certificates | undefined {
        try {
            const certificates = this.read(config);
            this.log.info('new connections get the certificates as they are now');
            return certificates;
        } catch (err) {
            this.log.error({ err }, 'the certificates cannot be used; those of before stay in use');
            return undefined;
        }
    }

    #own(): Certificates {
        if (!this.#made) {
            const { certificates, fingerprint } = makeCertificate();
            this.#made = certificates;
            this.log.warn(
                { fingerprint },
                'there is no "tls.certificate": until it ends, the server uses one that it has made for itself',
            );
        }
        return this.#made;
    }
}
