/** Certificates made by openssl, for servers in tests. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
    /** PEM. */
    key: string;
    cert: string;
    certFile: string;
    keyFile: string;
}

/** An authority of our own; its files lie in a folder that the test removes. */
export class CertificateAuthority {
    readonly #folder: string;
    readonly #root: Certificate;

    constructor(folder: string) {
        this.#folder = folder;
        this.#root = this.#make('ca', ['-x509', '-subj', '/CN=Test authority', '-days', '2']);
    }

    /** Its certificate (PEM), which whoever trusts it has to know. */
    get cert(): string {
        return this.#root.cert;
    }

    /** The file of that certificate. */
    get certFile(): string {
        return this.#root.certFile;
    }

    /** A certificate of this authority for names such as `DNS:images.example.com` and `IP:127.0.0.1`. */
    issue(name: string, ...alternatives: string[]): Certificate {
        return this.#issue(name, alternatives, 2);
    }

    /** One that was valid until yesterday. */
    issueExpired(name: string): Certificate {
        return this.#issue(name, ['DNS:localhost'], -1);
    }

    #issue(name: string, alternatives: readonly string[], days: number): Certificate {
        const request = this.#path(`${name}.csr`);
        const extensions = this.#path(`${name}.ext`);
        const keyFile = this.#path(`${name}.key`);
        const certFile = this.#path(`${name}.crt`);
        openssl(['req', ...newKey, '-keyout', keyFile, '-out', request, '-subj', `/CN=${name}`]);
        writeFileSync(extensions, `subjectAltName=${alternatives.join()}\n`);
        const signing = ['-CA', this.#root.certFile, '-CAkey', this.#path('ca.key'), '-CAcreateserial'];
        openssl([
            'x509',
            '-req',
            '-in',
            request,
            ...signing,
            '-days',
            String(days),
            '-extfile',
            extensions,
            '-out',
            certFile,
        ]);
        return {
            key: readFileSync(keyFile, 'utf8'),
            cert: readFileSync(certFile, 'utf8'),
            certFile,
            keyFile,
        };
    }

    /** A certificate that only its own key vouches for. */
    selfSigned(name: string, alternative: string): Certificate {
        return this.#make(name, [
            '-x509',
            '-subj',
            `/CN=${name}`,
            '-addext',
            `subjectAltName=${alternative}`,
        ]);
    }

    #make(name: string, options: string[]): Certificate {
        const keyFile = this.#path(`${name}.key`);
        const certFile = this.#path(`${name}.crt`);
        openssl(['req', ...newKey, ...options, '-keyout', keyFile, '-out', certFile]);
        return {
            key: readFileSync(keyFile, 'utf8'),
            cert: readFileSync(certFile, 'utf8'),
            certFile,
            keyFile,
        };
    }

    #path(name: string): string {
        return join(this.#folder, name);
    }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function openssl(args: string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
