/** Chains of origins across repositories (imports.md §4, §5). */
import { MAX_ORIGIN_DEPTH } from '../constants';
import { ApiError } from '../errors';
import type { Images } from './images';
import { isUuid } from '../manifest';
import { show, type JsonObject } from './json';
import { originNotActive } from './refusals';
import type { RemoteImage } from './remote-source';

/** The images an import needs beside the image itself. */
export interface OriginWalk {
    images: Images;
    /** An origin at the source. */
    remote: (uuid: string) => RemoteImage;
    /** For whom the source is asked. */
    account?: string | undefined;
    /** Called for each origin that is not here; throws what forbids its import. */
    judge?: (uuid: string, manifest: JsonObject) => void;
    /** What a chain that does not end is answered with. */
    tooLong: () => ApiError;
}

/** A served manifest says by its state whether the image is activated: one that is disabled is so too. */
const ACTIVATED_STATES: readonly unknown[] = ['active', 'disabled'];

/**
 * The origins of an image that have to be imported with it, base first: those up to the first that is here.
 *
 * @throws ApiError OriginIsNotActive, RemoteSourceError; what `judge` and `tooLong` give
 */
export async function missingOrigins(manifest: JsonObject, walk: OriginWalk): Promise<string[]> {
    const origins: string[] = [];
    let origin = manifest.origin;
    while (origin) {
        if (!isUuid(origin)) {
            throw new ApiError(
                'RemoteSourceError',
                `The source names ${show(origin)} as an origin, which is not the uuid of an image.`,
            );
        }
        const local = await walk.images.get(origin);
        if (local) {
            refuseInactive(origin, local.activated);
            break;
        }
        if (origins.length === MAX_ORIGIN_DEPTH) {
            throw walk.tooLong();
        }
        const found = await walk.remote(origin).manifest('origin image', walk.account);
        walk.judge?.(origin, found);
        refuseInactive(origin, ACTIVATED_STATES.includes(found.state));
        origins.unshift(origin);
        origin = found.origin;
    }
    return origins;
}

function refuseInactive(uuid: string, activated: boolean): void {
    if (!activated) {
        throw originNotActive(uuid);
    }
}
