/** What servers in tests use of http-signature beyond lib/auth/http-signature.d.ts. */
declare module 'http-signature' {
    /** @param publicKey in PEM or OpenSSH form */
    export function verifySignature(parsed: ParsedSignature, publicKey: string): boolean;
}
