import { DependencyConflict, EtagConflict, ImageNotFound } from '../db/driver';
import { ApiError } from '../errors';
import type { Image } from '../images/image';
import type { Call } from './call';
import { loadedImage, loadImage } from './steps';

/** What says that somebody else was faster. */
const CONFLICTS = [EtagConflict, ImageNotFound, DependencyConflict];

/** How often a change is tried against an image that other processes keep changing. */
const ATTEMPTS = 50;

/** Runs the step that loads the image and those behind it again, on its newest version. */
export async function reload(call: Call): Promise<Image> {
    for (const step of call.route.steps.slice(call.route.steps.indexOf(loadImage))) {
        await step(call);
    }
    return loadedImage(call);
}

/**
 * Changes the call's image. When somebody else changed or deleted it meanwhile, the checks of the route and the change
 * are made again on the new version, so that no update is lost and no condition is judged on an old one.
 *
 * @param change gives the image as written; it throws what forbids the change
 */
export async function mutate(call: Call, change: (image: Image) => Promise<Image>): Promise<Image> {
    return call.services.images.turns.take(call.uuid, async (waited) => {
        let image = waited ? await reload(call) : loadedImage(call);
        for (let attempt = 1; ; attempt++) {
            try {
                return await change(image);
            } catch (err) {
                if (!CONFLICTS.some((conflict) => err instanceof conflict)) {
                    throw err;
                }
                if (attempt === ATTEMPTS) {
                    throw new ApiError(
                        'ServiceUnavailableError',
                        `Image ${call.uuid} is being changed by too many requests at once; try again.`,
                        { cause: err },
                    );
                }
                image = await reload(call);
            }
        }
    });
}

/** Answers with the manifest in the form that GetImage gives this client. */
export function sendImage(call: Call, image: Image): void {
    const { body, etag } = image.render({ channels: call.version2, adminFields: false });
    call.sendJson(200, body, { Etag: etag });
}
