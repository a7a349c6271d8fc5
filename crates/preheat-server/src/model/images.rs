//! Whether a model can be given images, and how.

use preheat_core::{Failure, FailureKind, Phase};
use preheat_engine::picture::Pictures;
use preheat_engine::{EngineInfo, Task};

use super::ImageWay;
use crate::settings::ModelSettings;

pub(super) fn image_way(
    model: &ModelSettings,
    info: &EngineInfo,
) -> Result<Option<ImageWay>, Failure> {
    if info.signature.task != Task::Image {
        return Ok(None);
    }
    let not_images = |why: String| {
        let remedy = "leave model.task out to serve the model's tensors as they are";
        Failure::new(FailureKind::Load, &Phase::Loading, why, remedy)
    };
    let [output] = &info.signature.outputs[..] else {
        return Err(not_images(
            "a model of images gives one tensor of scores".into(),
        ));
    };
    let scores = output.row_size(true).filter(|_| info.signature.batched);
    let labels = info.signature.labels.len();
    if let Some(scores) = scores
        && labels > 0
        && labels != scores
    {
        return Err(not_images(format!(
            "there are {labels} labels for {scores} scores"
        )));
    }
    let reader = Pictures::new(model.picture.spec.clone(), &info.signature.inputs)
        .map_err(|why| not_images(format!("the model {why}")))?;
    let softmax = model.picture.softmax;
    Ok(Some(ImageWay { reader, softmax }))
}
