import { MantaAccount } from '../support/manta-storage';
import { describeStorage } from './storage';

/** Directories of images, which nothing is to be left of. */
const IMAGE = /\/images\/[^/]+\/[^/]+$/;

describeStorage('manta', async () => {
    const account = new MantaAccount();
    const manta = await account.serve();
    return {
        driver: account.storage(manta.url),
        twin: account.storage(`${manta.url.toUpperCase()}/`),
        stranger: account.storage(manta.url, { rootDir: '/imgapi/stor/other' }),
        leftovers: async () => [...manta.objects, ...manta.directories.filter((path) => IMAGE.test(path))],
        remove: async () => {
            await manta.stop();
            account.remove();
        },
    };
});
