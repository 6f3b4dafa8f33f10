import { changeImage, type Subject } from '../images/change';
import type { Image } from '../images/image';
import type { Call } from './call';
import { loadedImage, loadImage } from './steps';

/** Runs the step that loads the image and those behind it again, on its newest version. */
export async function reload(call: Call): Promise<Image> {
    for (const step of call.route.steps.slice(call.route.steps.indexOf(loadImage))) {
        await step(call);
    }
    return loadedImage(call);
}

/** The call's image, to be changed. Every version of it is judged by the steps of the route. */
export function subjectOf(call: Call): Subject {
    return { uuid: call.uuid, known: loadedImage(call), reload: () => reload(call) };
}

/** Changes the call's image; see {@link changeImage}. */
export async function mutate(call: Call, change: (image: Image) => Promise<Image>): Promise<Image> {
    return changeImage(call.services.images, subjectOf(call), change);
}

/** Answers with the manifest in the form that GetImage gives this client. */
export function sendImage(call: Call, image: Image): void {
    const { body, etag } = image.render({ channels: call.version2, adminFields: false });
    call.sendJson(200, body, { Etag: etag });
}
