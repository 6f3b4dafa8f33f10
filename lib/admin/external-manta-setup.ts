/** `imgapi-external-manta-setup`: has the image service of a datacenter keep its files in a foreign Manta (ops.md §3). */
import { existsSync, readFileSync } from 'node:fs';
import { keyPairOf, type KeyPair } from '../signing/key-pair';
import { CommandFailure } from './command';
import { checkAccess, mantaMetadata } from './manta-metadata';
import { findDatacenter, findService, type SetupContext, type SetupProgram } from './setup-program';

export const externalMantaSetup: SetupProgram = {
    name: 'imgapi-external-manta-setup',
    operands: ['<manta-url>', '<manta-user>', '<path-to-priv-key>'],
    about: [
        'Has the image service of this datacenter keep files in a Manta that has accounts of its own. The account there',
        'has to have the key already. The public half is read from <path-to-priv-key>.pub, or else made of the private',
        'one. All of it is written to the metadata of the service "imgapi" in SAPI, in the place of what was there, and',
        'every instance is configured anew within a minute and restarted. It can be run again.',
    ],
    flags: [{ name: 'insecure', short: 'i', help: 'do not verify the certificate of Manta' }],
    run: setUp,
};

async function setUp(context: SetupContext): Promise<void> {
    const { flags, operands, log, sapi, request } = context;
    const [url = '', user = '', path = ''] = operands;
    checkAccess({ url, user });
    const key = readKeyPair(path);
    log.info({ keyId: key.sha256, fingerprint: key.md5, path }, 'read the key');
    const { uuid: datacenter } = await findDatacenter(context);
    const { uuid: service } = await findService(context, datacenter);
    const access = { url, user, insecure: flags.has('insecure'), remote: true };
    await sapi.setMetadata(service, mantaMetadata(access, key), request);
    log.info({ service, ...access }, 'wrote the metadata of the service');
    log.info('done; all instances of the service are configured anew within a minute, and restarted');
}

function readKeyPair(path: string): KeyPair {
    const publicPath = `${path}.pub`;
    try {
        const text = readFileSync(path, 'utf8');
        return keyPairOf(text, path, existsSync(publicPath) ? readFileSync(publicPath, 'utf8') : undefined);
    } catch (error) {
        const { code, path: failed } = error as NodeJS.ErrnoException;
        if (code !== undefined) {
            throw new CommandFailure(`the key ${failed ?? path} cannot be read (${code})`);
        }
        throw error;
    }
}
