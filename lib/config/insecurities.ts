import { isLoopback } from './loopback';
import type { Config } from './types';

/**
 * What in the configuration leaves a door open, in sentences for whoever runs the server. In a datacenter requests come
 * from its own network, without signatures and TLS, as they always did.
 */
export function insecurities(config: Config): string[] {
    const { mode, authType, address, listen, tls, admin, allowInsecure, manta } = config;
    const overHttp = listen.schemes.includes('http') && !isLoopback(address);
    const overHttps = listen.schemes.includes('https');
    const isReachable = overHttp || (overHttps && !isLoopback(tls.host ?? address));
    return [
        mode !== 'dc' &&
            authType === 'none' &&
            isReachable &&
            'Whoever reaches this server may change and delete images: authType is "none", on an address that is not a loopback address.',
        mode !== 'dc' &&
            overHttp &&
            `Requests to ${address} are not encrypted: listen on 127.0.0.1 behind a proxy that speaks TLS, or by https.`,
        overHttps &&
            tls.certificate === undefined &&
            'No client can verify this server: its certificate was made at the start, as tls.certificate is not given.',
        admin !== undefined &&
            !isLoopback(admin.address) &&
            `Whoever reaches ${admin.address} sees this page, requests and the log: admin.address is not a loopback address.`,
        allowInsecure === true &&
            'Certificates of remote image repositories are not verified: allowInsecure is true.',
        manta?.insecure === true && 'The certificate of Manta is not verified: manta.insecure is true.',
    ].filter((text) => text !== false);
}
