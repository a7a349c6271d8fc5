//! Encoded images to the numbers that a model takes: decode, turn upright, fit, normalise.
//!
//! What a client sends is refused by its head where it would unfold too far: a few kilobytes can
//! claim billions of pixels.

use std::io::Cursor;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use crate::engine::{Element, Tensor, TensorSpec};

/// How images become numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureSpec {
    pub max_pixels: usize,
    /// Take the middle in its proportions, instead of stretching the whole.
    pub crop: bool,
    /// Blue first.
    pub bgr: bool,
    /// `(pixel * scale - mean) / std`, by channel.
    pub scale: f32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

/// Makes the one input of one model out of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Pictures {
    spec: PictureSpec,
    input: String,
    width: usize,
    height: usize,
    /// Channels stand last, not in front of the rows.
    interleaved: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error("the image is neither JPEG nor PNG")]
    Format,
    #[error("the image has {width} × {height} pixels, more than {limit}")]
    TooLarge {
        width: u32,
        height: u32,
        limit: usize,
    },
    #[error(
        "the image of {width} × {height} pixels is too narrow to be scaled to what the model takes"
    )]
    TooNarrow { width: u32, height: u32 },
    #[error("the image cannot be decoded: {0}")]
    Damaged(String),
}

const CHANNELS: usize = 3;

/// Pixels between two steps of scaling that any image may have.
const LEAST_BETWEEN: u64 = 1 << 22;

/// Where a model leaves its size open.
const USUAL_SIDE: usize = 224;

impl Pictures {
    /// # Errors
    /// When the model's inputs are not one image: why.
    pub fn new(spec: PictureSpec, inputs: &[TensorSpec]) -> Result<Self, String> {
        let [input] = inputs else {
            return Err(format!("takes {} tensors, not one image", inputs.len()));
        };
        let name = &input.name;
        let shape = input.shape.as_deref().unwrap_or_default();
        let channels = Some(CHANNELS);
        let (width, height, interleaved) = match *shape {
            _ if input.element != Element::F32 => {
                return Err(format!("takes '{name}' as {}, not as f32", input.element));
            }
            [_, c, height, width] if c == channels => (width, height, false),
            [_, height, width, c] if c == channels => (width, height, true),
            _ => {
                return Err(format!(
                    "takes '{name}', which has not the shape of an image"
                ));
            }
        };
        Ok(Pictures {
            spec,
            input: input.name.clone(),
            width: width.unwrap_or(USUAL_SIDE),
            height: height.unwrap_or(USUAL_SIDE),
            interleaved,
        })
    }

    /// One image as one row.
    ///
    /// # Errors
    /// [`PictureError`] says what is wrong with it.
    pub fn read(&self, encoded: &[u8]) -> Result<Tensor, PictureError> {
        let decoded = self.decode(encoded)?;
        self.check_between(decoded.width(), decoded.height())?;
        let fitted = self.fit(decoded);
        let numbers = self.normalise(&fitted);
        let (w, h) = (self.width, self.height);
        let shape = match self.interleaved {
            true => vec![1, h, w, CHANNELS],
            false => vec![1, CHANNELS, h, w],
        };
        Tensor::of_f32(&self.input, shape, &numbers)
            .map_err(|error| PictureError::Damaged(error.to_string()))
    }

    fn decode(&self, encoded: &[u8]) -> Result<DynamicImage, PictureError> {
        let damaged = |error: image::ImageError| PictureError::Damaged(error.to_string());
        let format = image::guess_format(encoded).map_err(|_| PictureError::Format)?;
        if !matches!(format, ImageFormat::Jpeg | ImageFormat::Png) {
            return Err(PictureError::Format);
        }
        let mut reader = ImageReader::with_format(Cursor::new(encoded), format);
        // Eight bytes a pixel is the most that a PNG takes; its rows are held beside it.
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(
            (self.spec.max_pixels as u64)
                .saturating_mul(16)
                .max(1 << 20),
        );
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        let limit = self.spec.max_pixels;
        if u64::from(width) * u64::from(height) > limit as u64 {
            return Err(PictureError::TooLarge {
                width,
                height,
                limit,
            });
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        image.apply_orientation(orientation);
        Ok(image)
    }

    /// Scaling goes by way of an image as wide as the one and as high as the other, of 16 bytes a
    /// pixel, and takes the middle only in the end: a line of a million pixels is a few kilobytes
    /// encoded, and gigabytes there. It may take what decoding may, which is eight bytes a pixel.
    fn check_between(&self, width: u32, height: u32) -> Result<(), PictureError> {
        let [w, h, to_w, to_h] = [width as usize, height as usize, self.width, self.height]
            .map(|side| side.max(1) as f64);
        let (across, down) = (to_w / w, to_h / h);
        let (scaled_w, scaled_h) = match self.spec.crop {
            true => (w * across.max(down), h * across.max(down)),
            false => (to_w, to_h),
        };
        let most = (self.spec.max_pixels as u64 / 2).max(LEAST_BETWEEN);
        match w.max(scaled_w) * scaled_h > most as f64 {
            true => Err(PictureError::TooNarrow { width, height }),
            false => Ok(()),
        }
    }

    fn fit(&self, image: DynamicImage) -> RgbImage {
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (width, height) = (side(self.width), side(self.height));
        let filter = FilterType::Triangle;
        let fitted = match self.spec.crop {
            true => image.resize_to_fill(width, height, filter),
            false => image.resize_exact(width, height, filter),
        };
        fitted.into_rgb8()
    }

    fn normalise(&self, image: &RgbImage) -> Vec<f32> {
        let PictureSpec {
            bgr,
            scale,
            mean,
            std,
            ..
        } = self.spec;
        let plane = self.width * self.height;
        let mut numbers = vec![0.0; plane * CHANNELS];
        for (place, pixel) in image.pixels().enumerate() {
            for channel in 0..CHANNELS {
                let from = if bgr { CHANNELS - 1 - channel } else { channel };
                let to = match self.interleaved {
                    true => place * CHANNELS + channel,
                    false => channel * plane + place,
                };
                let value = f32::from(pixel.0[from]) * scale;
                numbers[to] = (value - mean[channel]) / std[channel];
            }
        }
        numbers
    }
}

/// An image of our own for the warm-up, no two seeds alike, as PNG or as JPEG.
///
/// # Errors
/// When it cannot be encoded.
pub fn drawn(seed: u8, jpeg: bool) -> Result<Vec<u8>, PictureError> {
    const SIDE: u32 = 96;
    let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let wave = |step: u32| ((x * step + y * (seed as u32 + 1) * 3) % 256) as u8;
        image::Rgb([wave(2), wave(5), seed.wrapping_mul(37)])
    });
    let mut encoded = Cursor::new(Vec::new());
    let format = if jpeg {
        ImageFormat::Jpeg
    } else {
        ImageFormat::Png
    };
    image
        .write_to(&mut encoded, format)
        .map_err(|error| PictureError::Damaged(error.to_string()))?;
    Ok(encoded.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(shape: [Option<usize>; 4], bgr: bool) -> Pictures {
        let input = TensorSpec {
            name: "x".into(),
            element: Element::F32,
            shape: Some(shape.to_vec()),
        };
        let spec = PictureSpec {
            max_pixels: 100,
            crop: false,
            bgr,
            scale: 1.0,
            mean: [1.0; 3],
            std: [2.0; 3],
        };
        Pictures::new(spec, &[input]).unwrap()
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let image = RgbImage::from_pixel(width, height, image::Rgb([11, 21, 31]));
        let mut encoded = Cursor::new(Vec::new());
        image.write_to(&mut encoded, ImageFormat::Png).unwrap();
        encoded.into_inner()
    }

    #[test]
    fn channels_stand_where_the_model_wants_them() {
        let planes = pictures([None, Some(3), Some(1), Some(2)], false);
        let read = planes.read(&png(4, 4)).unwrap();
        assert_eq!(read.shape(), [1, 3, 1, 2]);
        assert_eq!(
            read.numbers().collect::<Vec<_>>(),
            [5.0, 5.0, 10.0, 10.0, 15.0, 15.0]
        );
        let mixed = pictures([None, Some(1), Some(2), Some(3)], true);
        let read = mixed.read(&png(4, 4)).unwrap();
        assert_eq!(
            read.numbers().collect::<Vec<_>>(),
            [15.0, 10.0, 5.0, 15.0, 10.0, 5.0]
        );
    }

    #[test]
    fn what_is_too_large_or_no_image_is_refused_without_decoding() {
        let pictures = pictures([None, Some(3), Some(2), Some(2)], false);
        let large = pictures.read(&png(11, 10)).unwrap_err();
        assert_eq!(
            large,
            PictureError::TooLarge {
                width: 11,
                height: 10,
                limit: 100
            }
        );
        assert_eq!(
            pictures.read(b"GIF89a....").unwrap_err(),
            PictureError::Format
        );
        assert_eq!(pictures.read(b"").unwrap_err(), PictureError::Format);
        let whole = png(10, 10);
        let cut = pictures.read(&whole[..whole.len() / 2]).unwrap_err();
        assert!(matches!(cut, PictureError::Damaged(_)));
    }

    /// A line of a million pixels: a few kilobytes to send, gigabytes to scale.
    #[test]
    fn images_that_scaling_would_unfold_are_refused() {
        let open = pictures([None, Some(3), None, None], false);
        for (crop, width, height, fine) in [
            (false, 1_000_000, 1, false),
            (false, 1, 1_000_000, true),
            (true, 1, 1_000_000, false),
            (true, 1_000_000, 1, false),
            (true, 4000, 500, true),
            (false, 7000, 5000, true),
        ] {
            let spec = PictureSpec {
                max_pixels: 40_000_000,
                crop,
                ..open.spec.clone()
            };
            let pictures = Pictures {
                spec,
                ..open.clone()
            };
            let checked = pictures.check_between(width, height);
            assert_eq!(checked.is_ok(), fine, "{width} × {height}, crop: {crop}");
        }
        let spec = PictureSpec {
            max_pixels: 2_000_000,
            ..open.spec.clone()
        };
        let pictures = Pictures { spec, ..open };
        let narrow = pictures.read(&png(1_000_000, 1)).unwrap_err();
        assert!(matches!(narrow, PictureError::TooNarrow { .. }), "{narrow}");
    }

    #[test]
    fn damaged_images_are_errors() {
        let pictures = pictures([None, Some(3), Some(2), Some(2)], false);
        for jpeg in [false, true] {
            let spec = PictureSpec {
                max_pixels: 10_000,
                ..pictures.spec.clone()
            };
            let pictures = Pictures {
                spec,
                ..pictures.clone()
            };
            let whole = drawn(3, jpeg).unwrap();
            assert!(pictures.read(&whole).is_ok());
            for at in 0..whole.len().min(400) {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x5a;
                let _ = pictures.read(&damaged);
            }
        }
    }
}
